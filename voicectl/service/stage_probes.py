"""Time single pieces of work of a running engine, one at a time, through its ports. Fits nothing."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import Final

import numpy as np
import psutil

from voicectl.capacity.observations import Observation
from voicectl.capacity.speeds import window_of
from voicectl.core.audio import MODEL_RATE_HZ, Samples, pcm16_to_float
from voicectl.core.ports import ChatRequest, Message
from voicectl.core.profile import Profile
from voicectl.engine.engine import Engine
from voicectl.media.resample import resample

TIMEOUT_S: Final = 60.0
SENTENCES: Final = (
    "I would like to change my delivery address, please.",
    "Could you tell me when the store in the city centre opens on Saturday?",
    "My parcel was supposed to arrive yesterday, but I have not received it.",
    "What does the larger one cost?",
    "I ordered two lamps last week and one of them is broken, so I want to send it back.",
    "Can I pay by invoice?",
)
"""What is spoken to measure with: requests of a phone caller, 1.5 to 5 seconds each."""
HEARD_S: Final = (1.2, 2.5, 5.0, 8.5, 13.0)
"""Lengths of audio that are transcribed: three of the four windows."""
PROMPT_WORDS: Final = (6, 110)
NUM_REPLIES: Final = 8
"""Most replies at the same time."""
REPLY_WORDS: Final = 20
FOLLOW_UP_WORDS: Final = (12, 60, 160, 240)
"""Prompts by which some of those conversations grow, and about how long they are.

With them the cache holds more than half of the most that profile `cpu` keeps of conversations that wait (2,048 tokens):
plans look no further than twice as far as was measured.
"""
REPLY_TOKENS: Final = 13
THIRDS: Final = 3
CROWD_TIMES: Final = 2
_STORY: Final = "Tell me a very long story about the sea, with every detail."
_VOCABULARY: Final = ("river", "seven", "cloud", "paper", "green", "market", "listen", "window", "early", "stone")


async def spoken(engine: Engine, texts: Sequence[str]) -> tuple[list[Samples], list[Observation]]:
    """Speak texts; return them at 16 kHz, and how long their first and later chunks took."""
    voices, seen = [], []
    for text in texts:
        chunks, times, rate = [], [time.perf_counter()], MODEL_RATE_HZ
        async with aclosing(engine.synthesizer.synthesize(text, timeout_s=TIMEOUT_S)) as stream:
            async for chunk in stream:
                if chunk.pcm:
                    times.append(time.perf_counter())
                    chunks.append(pcm16_to_float(chunk.pcm))
                    rate = chunk.sample_rate
        lengths_s = [chunk.size / rate for chunk in chunks]
        took_s = np.diff(times)
        seen.append(Observation("tts_first", (sum(lengths_s), lengths_s[0]), float(took_s[0])))
        # From the last chunk silence was trimmed: its length says little of its work.
        seen += [
            Observation("tts_chunk", (length_s,), float(one))
            for length_s, one in zip(lengths_s[1:-1], took_s[1:-1], strict=True)
        ]
        voices.append(resample(np.concatenate(chunks), rate, MODEL_RATE_HZ))
    return voices, seen


async def transcriptions(engine: Engine, profile: Profile, voices: Sequence[Samples]) -> list[Observation]:
    """Transcribe speech of several lengths."""
    seen = []
    longest = round(max(HEARD_S) * MODEL_RATE_HZ)
    speech = np.resize(np.concatenate(voices), longest)
    for length_s in HEARD_S:
        audio = speech[: round(length_s * MODEL_RATE_HZ)]
        began_at = time.perf_counter()
        await engine.transcriber.transcribe(audio, second_look=False, timeout_s=TIMEOUT_S)
        took_s = time.perf_counter() - began_at
        seen.append(Observation("stt", (window_of(length_s, profile.stt.windows), length_s), took_s))
    return seen


async def scores(engine: Engine, voices: Sequence[Samples]) -> list[Observation]:
    """Judge whether turns sound complete."""
    seen = []
    for voice in voices:
        began_at = time.perf_counter()
        await engine.turn_detector.completeness(voice, timeout_s=TIMEOUT_S)
        seen.append(Observation("turn", (), time.perf_counter() - began_at))
    return seen


async def prompts(engine: Engine, profile: Profile) -> list[Observation]:
    """Read prompts of several lengths, none of which is in the cache: half of one lies behind its tokens."""
    seen, random = [], Random(5)  # noqa: S311 - words to read, no secret
    for num_words in PROMPT_WORDS:
        cached: dict[str, int] = {}
        request = _request(profile, f"calibrate-prompt-{num_words}", _words(random, num_words), max_tokens=1)
        seen += await _read(engine, profile, request, cached)
        await engine.language_model.forget(request.session_id)
    return seen


async def replies(engine: Engine, profile: Profile) -> list[Observation]:
    """Write replies alone and at once while their conversations grow, and read the prompts that they grow by."""
    random = Random(7)  # noqa: S311 - words to read, no secret
    cached: dict[str, int] = {}
    num = max(1, min(NUM_REPLIES, profile.llm.hot_sessions, profile.server.queue_depth))
    requests = [
        _request(
            profile, f"calibrate-reply-{index}", f"{_words(random, REPLY_WORDS)}. {_STORY}", max_tokens=REPLY_TOKENS
        )
        for index in range(num)
    ]
    seen = await _write(engine, requests[:1], cached) + await _write(engine, requests, cached)
    grown = []
    for request, num_words in zip(requests, FOLLOW_UP_WORDS, strict=False):
        follow_up = _followed_by(request, _words(random, num_words))
        seen += await _read(engine, profile, replace(follow_up, max_tokens=1), cached)
        grown.append(follow_up)
    seen += await _write(engine, grown, cached) + await _write(engine, grown[:1], cached)
    for name in cached:
        await engine.language_model.forget(name)
    return seen


async def _read(engine: Engine, profile: Profile, request: ChatRequest, cached: dict[str, int]) -> list[Observation]:
    """Read a prompt. `cached` has how many tokens of each conversation lie in the cache, and is kept up to date."""
    began_at = time.perf_counter()
    first_at, usage = None, None
    async with aclosing(engine.language_model.generate(request, timeout_s=TIMEOUT_S)) as deltas:
        async for delta in deltas:
            first_at = first_at or time.perf_counter()
            usage = delta.usage or usage
    if usage is None or first_at is None:
        return []
    num_tokens = usage.prompt_tokens - usage.cached_tokens
    num_steps = -(-num_tokens // profile.llm.prefill_tokens)
    cached[request.session_id] = usage.cached_tokens
    behind = sum(cached.values()) + num_tokens / 2
    cached[request.session_id] = usage.prompt_tokens
    return [Observation("prefill", (num_steps, num_tokens, behind), first_at - began_at)]


async def _write(engine: Engine, requests: Sequence[ChatRequest], cached: dict[str, int]) -> list[Observation]:
    """Write replies at once, and time the steps in which all of them get a token."""
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(_arrivals(engine, request)) for request in requests]
    arrivals = [run.result() for run in runs]
    began_at = max(times[0] for times, _ in arrivals)
    ended_at = min(times[-1] for times, _ in arrivals)
    inside = [one for one in arrivals[0][0] if began_at <= one <= ended_at]
    cached |= {request.session_id: tokens for request, (_, tokens) in zip(requests, arrivals, strict=True)}
    if len(inside) <= THIRDS:
        return []
    behind = sum(cached.values())
    return [Observation("decode", (len(requests), behind), one) for one in _in_thirds(np.diff(inside))]


async def crowd(engine: Engine, voice: Samples) -> tuple[float, float]:
    """Return what the same transcriptions take by themselves, and beside scores, seconds.

    What counts is the worker's time on a core: waiting for one, which this process causes as well, is no loss of speed.
    """
    worker = next(state.pid for state in engine.states().values() if "stt" in state.stages and not state.fallback)

    async def hear() -> float:
        before_s = _processor_s(worker)
        await engine.transcriber.transcribe(voice, second_look=False, timeout_s=TIMEOUT_S)
        return _processor_s(worker) - before_s

    async def score() -> None:
        while True:
            await engine.turn_detector.completeness(voice, timeout_s=TIMEOUT_S)

    alone_s = sum([await hear() for _ in range(CROWD_TIMES)])
    async with asyncio.TaskGroup() as group:
        beside = group.create_task(score())
        await hear()
        crowded_s = sum([await hear() for _ in range(CROWD_TIMES)])
        beside.cancel()
    return alone_s, crowded_s


def _processor_s(pid: int | None) -> float:
    """Return the processor time that a worker has used, seconds."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _in_thirds(steps: "np.ndarray[tuple[int, ...], np.dtype[np.float64]]") -> list[float]:
    """Return the median of each third: three observations, none of them a single step that was disturbed."""
    return [float(np.median(part)) for part in np.array_split(steps, THIRDS) if part.size]


async def _arrivals(engine: Engine, request: ChatRequest) -> tuple[list[float], int]:
    """Return when each piece of a reply came, and how many tokens it and its prompt hold in the middle of it."""
    times: list[float] = []
    usage = None
    async with aclosing(engine.language_model.generate(request, timeout_s=TIMEOUT_S)) as deltas:
        async for delta in deltas:
            if delta.text:
                times.append(time.perf_counter())
            usage = delta.usage or usage
    tokens = 0 if usage is None else usage.prompt_tokens + usage.completion_tokens // 2
    return times or [time.perf_counter()], tokens


def _words(random: Random, num_words: int) -> str:
    return " ".join(random.choice(_VOCABULARY) for _ in range(num_words))


def _followed_by(request: ChatRequest, text: str) -> ChatRequest:
    """Return the next turn of a conversation."""
    return replace(request, messages=(*request.messages, Message("assistant", "Very well."), Message("user", text)))


def _request(profile: Profile, session: str, text: str, *, max_tokens: int) -> ChatRequest:
    llm = profile.llm
    return ChatRequest(
        session_id=session,
        messages=(Message("system", llm.system_prompt), Message("user", text)),
        max_tokens=max_tokens,
        temperature=llm.temperature,
        top_p=llm.top_p,
        top_k=llm.top_k,
        seed=llm.seed,
    )
