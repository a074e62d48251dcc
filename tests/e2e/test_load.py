"""A few conversations at once over recorded speech: every turn is answered, and sound keeps its pace."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import start_appliance
from voicectl.bench.load import LoadShape, Utterance, lost, refused, run_calls
from voicectl.bench.load_report import report_level
from voicectl.media.audiofile import read_speech

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NUM_CALLS = 3
NUM_TURNS = 2


def utterances(speech: Path) -> list[Utterance]:
    """Return a few sentences that are read without a pause."""
    found = []
    for line in (speech / "manifest.jsonl").read_text().splitlines():
        row = json.loads(line)
        activity = row.get("vad_check") or {}
        if row["category"] == "en_read" and 2 <= row["duration_s"] <= 4 and activity.get("max_internal_pause_s") == 0:
            found.append(Utterance.of(row["file"], *read_speech(speech / "clips" / row["file"])))
    return found


async def test_every_turn_of_concurrent_calls_is_answered(speech: Path) -> None:
    process, appliance = start_appliance(
        "--set", f"server.max_sessions={NUM_CALLS}", "--set", "llm.max_reply_tokens=12"
    )
    try:
        shape = LoadShape(NUM_CALLS, NUM_TURNS, pause_s=1.0)
        outcomes = await run_calls(appliance.url, shape, utterances(speech))
    finally:
        process.terminate()
        assert process.wait(30) == 0
        assert process.stdout is not None
        process.stdout.close()
    report = report_level(outcomes, [], 1.0, NUM_TURNS)
    assert (refused(outcomes), lost(outcomes), report.failures) == (0, 0, [])
    assert report.unanswered == 0
    assert report.answered >= NUM_CALLS * NUM_TURNS - 1
    assert report.v2v is not None
    assert report.v2v.p50 < 5000
    # Paced, not in bursts: a frame that comes late at all comes a few frames late, not a sentence.
    assert report.frame_late is not None
    assert report.frame_late.p50 < 20
