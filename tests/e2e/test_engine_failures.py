"""The real models' workers are killed while callers wait for them."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soxr

from voicectl.core.audio import MODEL_RATE_HZ, Samples, duration_s, pcm16_to_float
from voicectl.core.config import load_profile
from voicectl.core.ports import ChatRequest, Message, SpeechChunk
from voicectl.engine.engine import Engine

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

PROFILE = load_profile("cpu", environment={})
SENTENCE = "What is the capital of France?"
LONG = "The first word is followed by a second one, then by a third, and so it goes on until the end."
CALLS = 4
BUSY_S = 20.0
"""On two idle cores the next answer comes in 0.4 to 1.4 s; the bound is for a busy machine."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(model_root: Callable[[str], Path]) -> AsyncIterator[Engine]:
    roots = {role: model_root(name) for role, name in PROFILE.model_names().items()}
    async with Engine(PROFILE, roots) as running:
        yield running


async def say(engine: Engine, text: str) -> list[SpeechChunk]:
    return [chunk async for chunk in engine.synthesizer.synthesize(text, timeout_s=30)]


def samples_of(chunks: list[SpeechChunk]) -> Samples:
    samples = np.concatenate([pcm16_to_float(chunk.pcm) for chunk in chunks])
    return soxr.resample(samples, chunks[0].sample_rate, MODEL_RATE_HZ).astype(np.float32)


async def hear(engine: Engine, samples: Samples) -> str:
    return (await engine.transcriber.transcribe(samples, timeout_s=30)).text


async def answer(engine: Engine, session_id: str, max_tokens: int = 24) -> str:
    messages = (Message("system", PROFILE.llm.system_prompt), Message("user", SENTENCE))
    request = ChatRequest(session_id, messages, max_tokens, temperature=0.0, top_p=0.95, top_k=40, seed=0)
    return "".join([delta.text async for delta in engine.language_model.generate(request, timeout_s=30)])


async def kill(engine: Engine, worker: str) -> int:
    """Kill a worker that is ready, as soon as it works on something."""
    async with asyncio.timeout(BUSY_S):
        while engine.states()[worker].state != "ready" or not engine.states()[worker].queued:
            await asyncio.sleep(0.002)
    pid = engine.states()[worker].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


async def test_transcriptions_survive_their_worker(engine: Engine) -> None:
    samples = samples_of(await say(engine, SENTENCE))
    expected = await hear(engine, samples)
    waiting = [asyncio.ensure_future(hear(engine, samples)) for _ in range(CALLS)]
    await kill(engine, "stt")
    killed_at = time.monotonic()
    assert [await one for one in waiting] == [expected] * CALLS
    assert time.monotonic() - killed_at < BUSY_S
    assert engine.states()["stt"].restarts == 1


async def test_replies_survive_their_worker_midway(engine: Engine) -> None:
    expected = await answer(engine, "before")
    waiting = [asyncio.ensure_future(answer(engine, f"call-{number}")) for number in range(CALLS)]
    await kill(engine, "llm")
    killed_at = time.monotonic()
    assert [await one for one in waiting] == [expected] * CALLS
    assert time.monotonic() - killed_at < BUSY_S
    assert engine.states()["llm"].restarts == 1


async def test_clauses_survive_their_worker_midway(engine: Engine) -> None:
    whole = await say(engine, LONG)
    speech = engine.synthesizer.synthesize(LONG, timeout_s=30)
    chunks = [await anext(speech)]
    pid = engine.states()["tts"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    chunks += [chunk async for chunk in speech]
    assert engine.states()["tts"].restarts == 1
    whole_s, resumed_s = (sum(duration_s(one.pcm, one.sample_rate) for one in many) for many in (whole, chunks))
    # Two renderings differ by their noise, and at most one word is begun twice.
    assert resumed_s == pytest.approx(whole_s, rel=0.2)
    starts = [mark.start for chunk in chunks for mark in chunk.marks]
    assert starts == sorted(set(starts))
    assert {mark.start for chunk in whole for mark in chunk.marks} == set(starts)


async def test_turn_ends_are_told_again_after_their_worker_was_killed(engine: Engine) -> None:
    samples = samples_of(await say(engine, SENTENCE))
    expected = await engine.turn_detector.completeness(samples, timeout_s=20)
    pid = engine.states()["turn"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert await engine.turn_detector.completeness(samples, timeout_s=20) == pytest.approx(expected)
    assert engine.states()["turn"].restarts == 1


async def test_phrases_are_kept_in_the_real_voice(engine: Engine) -> None:
    async with asyncio.timeout(BUSY_S):
        while len(engine._ports.phrases) < len(PROFILE.fallback.texts):
            await asyncio.sleep(0.05)
    kept = engine._ports.phrases.get(PROFILE.fallback.wait_text)
    assert kept is not None
    assert 0.5 < sum(duration_s(chunk.pcm, chunk.sample_rate) for chunk in kept.chunks) < 5
