"""The numbers of a turn over recorded speech: their shape, and bounds that only a broken appliance misses."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Appliance
from voicectl.bench.caller import connect
from voicectl.bench.turns import STAGES, TurnReport
from voicectl.media.audiofile import read_speech

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NUM_CLIPS = 6


def rows(speech: Path, *categories: str) -> list[dict[str, Any]]:
    """Return the manifest's rows of some categories, files that need no description only."""
    lines = (speech / "manifest.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["category"] in categories and not row["file"].endswith(".raw")]


async def play(appliance: Appliance, path: Path) -> tuple[TurnReport, int, float]:
    """Play a recording to the appliance; return the turn, the commits, and the caller's own lateness in ms."""
    samples, rate = read_speech(path)
    async with connect(appliance.url, instructions="Answer in three words.") as caller:
        report = await caller.speak(samples, rate, answer_timeout_s=4)
        return report, len(caller.record.committed), caller.worst_late_ms


async def test_read_sentences_are_answered_after_their_last_word(appliance: Appliance, speech: Path) -> None:
    clips = [row for row in rows(speech, "en_read") if 2 <= row["duration_s"] <= 4][:NUM_CLIPS]
    calls = [await play(appliance, speech / "clips" / row["file"]) for row in clips]
    reports = [report for report, _, _ in calls]
    times = [report.v2v_ms for report in reports if report.v2v_ms is not None]
    assert len(times) >= NUM_CLIPS - 1
    assert statistics.median(times) < 2000
    assert sum(report.cut_in for report in reports) <= 1
    for report, _, late_ms in calls:
        if report.v2v_ms is not None:
            assert all(report.stages_ms[stage] is not None for stage in STAGES)
            assert abs(report.unexplained_ms or 0) <= 20 + late_ms, report


async def test_sounds_that_are_no_speech_make_no_turn(appliance: Appliance, speech: Path) -> None:
    for row in rows(speech, "dtmf", "non_speech"):
        if row["duration_s"] <= 4:
            report, num_committed, _ = await play(appliance, speech / "clips" / row["file"])
            assert (num_committed, report.heard, report.reply) == (0, "", ""), row["file"]
