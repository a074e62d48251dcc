"""A few conversations at once over recorded speech: every turn is answered, and sound keeps its pace."""

import asyncio
import urllib.request
from pathlib import Path
from statistics import median

import pytest

from tests.e2e.conftest import start_appliance
from tests.e2e.recordings import utterances
from voicectl.bench.generator.run import run_load
from voicectl.bench.generator.target import Target
from voicectl.bench.run_record import LoadPlan
from voicectl.bench.scrape import Sample, quantile, samples_of
from voicectl.bench.waveform import audible_span
from voicectl.bench.workload.ready import ReadyConversation, ReadyTurn, ReadyWorkload, Sound, with_digest
from voicectl.core.audio import float_to_pcm16

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
NUM_CALLS = 3
NUM_TURNS = 2
RATE_HZ = 24_000


def workload(speech: Path) -> ReadyWorkload:
    """Return calls of a few recorded sentences, each call beginning with another."""
    chosen = utterances(speech)[: NUM_CALLS + 1]
    sounds = []
    for one in chosen:
        span = audible_span(one.samples, RATE_HZ)
        assert span is not None
        sounds.append(Sound(float_to_pcm16(one.samples), span.first_s, span.last_s))
    turns = [
        ReadyTurn(one.name, "speech", place, one.samples.size / RATE_HZ, pause_s=1.0)
        for place, one in enumerate(chosen)
    ]
    kinds = tuple(
        ReadyConversation(f"from-{start}", 1.0, tuple((turns + turns)[start : start + NUM_TURNS]))
        for start in range(len(turns))
    )
    return with_digest(ReadyWorkload("recorded", "", kinds, tuple(sounds)))


def metrics_of(url: str) -> list[Sample]:
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        return samples_of(answer.read().decode())


async def test_every_turn_of_concurrent_calls_is_answered(speech: Path) -> None:
    process, appliance = start_appliance(
        "--set", f"server.max_sessions={NUM_CALLS}", "--set", "llm.max_reply_tokens=12"
    )
    try:
        calls = workload(speech)
        starts = [0.7 * number for number in range(NUM_CALLS)]
        plan = LoadPlan(calls.name, calls.digest, 1, "trace", None, None, None, 5.0, 40.0)
        record = await run_load(plan, calls, Target(appliance.url), trace=starts)
        samples = await asyncio.to_thread(metrics_of, appliance.url)
    finally:
        process.terminate()
        assert process.wait(30) == 0
        assert process.stdout is not None
        process.stdout.close()
    assert [call.end for call in record.calls] == ["completed"] * NUM_CALLS, [call.failure for call in record.calls]
    turns = [turn for call in record.calls for turn in call.turns]
    assert len(turns) == NUM_CALLS * NUM_TURNS
    # A caller may be cut in on once; nobody waits in vain.
    assert {turn.end for turn in turns} <= {"answered", "cut-in"}
    waited_s = [turn.v2v_s for turn in turns if turn.v2v_s is not None]
    assert len(waited_s) >= NUM_CALLS * NUM_TURNS - 1
    assert median(waited_s) < 5
    # Paced, not in bursts: a frame that comes late at all comes a few frames late, not a sentence.
    lateness_s = quantile(samples, "voicectl_playout_lateness_seconds", 0.5)
    assert lateness_s is not None
    assert lateness_s < 0.02
