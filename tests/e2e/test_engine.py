"""The engine on the real models of profile cpu, each in its worker process."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soxr

from voicectl.core.audio import MODEL_RATE_HZ, Samples, pcm16_to_float
from voicectl.core.config import load_profile
from voicectl.core.ports import ChatRequest, Message
from voicectl.engine.engine import Engine

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

PROFILE = load_profile("cpu", environment={})
SENTENCE = "What is the capital of France?"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(model_root: Callable[[str], Path]) -> AsyncIterator[Engine]:
    roots = {stage: model_root(name) for stage, name in PROFILE.models.model_dump().items()}
    started_at = time.monotonic()
    async with Engine(PROFILE, roots) as running:
        # On two idle cores 2 to 3 s; the bound is for a busy machine.
        assert time.monotonic() - started_at < 30
        yield running


async def spoken(engine: Engine, text: str) -> Samples:
    chunks = [chunk async for chunk in engine.synthesizer.synthesize(text, timeout_s=20)]
    samples = np.concatenate([pcm16_to_float(chunk.pcm) for chunk in chunks])
    return soxr.resample(samples, chunks[0].sample_rate, MODEL_RATE_HZ).astype(np.float32)


async def test_all_workers_are_ready(engine: Engine) -> None:
    states = engine.states()
    assert {stage for state in states.values() for stage in state.stages} == {"stt", "llm", "tts", "turn"}
    assert {(state.state, state.restarts) for state in states.values()} == {("ready", 0)}


async def test_what_the_voice_says_is_transcribed(engine: Engine) -> None:
    transcript = await engine.transcriber.transcribe(await spoken(engine, SENTENCE), timeout_s=20)
    assert transcript.text.strip(" ?.").lower() == SENTENCE.strip("?").lower()


async def test_complete_sentence_sounds_more_complete_than_its_beginning(engine: Engine) -> None:
    samples = await spoken(engine, SENTENCE)
    whole = await engine.turn_detector.completeness(samples, timeout_s=20)
    part = await engine.turn_detector.completeness(samples[: len(samples) // 2], timeout_s=20)
    assert 0 <= part < whole <= 1


async def test_reply_is_streamed_and_counted(engine: Engine) -> None:
    messages = (Message("system", PROFILE.llm.system_prompt), Message("user", SENTENCE))
    request = ChatRequest("e2e", messages, max_tokens=24, temperature=0.0, top_p=0.95, top_k=40, seed=0)
    deltas = [delta async for delta in engine.language_model.generate(request, timeout_s=30)]
    await engine.language_model.forget("e2e")
    assert "".join(delta.text for delta in deltas).strip()
    assert len(deltas) > 2
    assert deltas[-1].finish in {"stop", "length"}
    usage = deltas[-1].usage
    assert usage is not None and 0 < usage.completion_tokens <= 24
    assert 0 < usage.cached_tokens < usage.prompt_tokens
