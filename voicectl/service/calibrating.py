"""Calibrate this host: run the real stages, then a few real calls, and keep what their times say."""

import asyncio
import contextlib
import importlib.metadata
import os
import platform
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from voicectl import __version__
from voicectl.bench.load import LoadShape, TurnOutcome, Utterance, run_calls
from voicectl.bench.usage import Others, Usage, family
from voicectl.capacity.calibration import FORMAT, Calibration, Machine
from voicectl.capacity.conversation import Conversation
from voicectl.capacity.fit import fit_speeds
from voicectl.capacity.observations import LiveCall, Observation
from voicectl.capacity.speeds import Place, Speeds
from voicectl.capacity.tuning import thread_settings
from voicectl.core.audio import MODEL_RATE_HZ, Samples
from voicectl.core.errors import EngineError
from voicectl.core.lockfile import read_lock
from voicectl.core.paths import state_path
from voicectl.core.profile import Profile
from voicectl.engine.engine import Engine, EngineOptions
from voicectl.service import stage_probes as probe
from voicectl.service.app import model_roots
from voicectl.service.conversation_probe import profiled

ROUNDS: Final = 3
"""How often everything is timed: a shared machine is slow for seconds at a time, which no stage is to meet alone."""
LEAST_ROUNDS: Final = 2
BUDGET_S: Final = 60.0
"""A calibration is to take no longer: on a slow host the last round gives way, and the intervals become wider."""
REST_IN_ROUNDS: Final = 3.0
"""What comes after the rounds takes about so many of them."""
LIVE_CALLS: Final = 5
"""A gateway takes 0.09 cores for one call and 0.05 for each of six, whose frames it finds together when it wakes."""
LIVE_TURNS: Final = 2
LIVE_STAGGER_S: Final = 0.3
LIVE_PAUSE_S: Final = 0.8
"""Pause of those calls. A gateway has more to do for who speaks and hears than for who thinks."""
LIVE_REPLY_TOKENS: Final = 6
"""Longest reply of those calls: what they show does not depend on it, what they last does."""
LEAST_CROWD_SPEED: Final = 0.4
SETTLE_S: Final = 1.0
CALLS_SETTLE_S: Final = 3.0
"""After which all calls are in their course: what a first call makes a gateway load and set up is no call's share."""
REPEATS: Final = 3
"""How often utterances are answered where nobody waits for it: the same words get replies of 5 to 25 tokens."""
THINK_S: Final = 6.0
"""Pause of the reference conversation, as in the documented load measurements."""
BUSY_CORES: Final = 0.3
"""A host on which other work takes more than this is not measured, but told so."""
_LIBRARIES: Final = ("ctranslate2", "llama-cpp-python", "onnxruntime", "piper-tts")
_PATHS: Final = ("vad", "endpointing", "stt", "llm", "tts")

OpenGateway = Callable[[], AbstractAsyncContextManager[str]]
"""Starts a gateway with the profile in a process below this one, and gives its URL."""


def live_settings(profile: Profile) -> list[str]:
    """Return the settings of the gateway that the few real calls are held through, beside the profile's own.

    Spare processes would be loading while it is measured, or would have to be waited for.
    """
    short = f"llm.max_reply_tokens={min(LIVE_REPLY_TOKENS, profile.llm.max_reply_tokens)}"
    return [short, *(f"workers.{number}.spare=none" for number in range(len(profile.workers)))]


def calibration_path(profile: str) -> Path:
    """Return where the calibration of a profile on this host is kept."""
    return state_path() / "calibrations" / f"{profile}.json"


async def calibrate(
    profile: Profile,
    open_gateway: OpenGateway | None,
    *,
    on_step: Callable[[str], None] = lambda step: None,
) -> Calibration:
    """Measure this host with the profile's models; the gateway's replies may be cut short as `live_settings` say.

    Raises EngineError or what the store raises where models are missing.
    """
    began_at, others = time.monotonic(), Others()
    on_step("starting the models")
    roots = model_roots(profile)
    cores = os.cpu_count() or 1
    async with _loading(open_gateway) as gateway:
        async with Engine(profile, roots, options=EngineOptions(log_level="error", standby=False)) as engine:
            voices, seen, crowd = await _stages(engine, profile, cores, began_at, on_step)
            on_step("profiling the conversation")
            # Nothing of the conversation is timed, so the gateway may load meanwhile.
            url = gateway()
            conversation = await profiled(engine, profile, roots["vad"], voices, name="reference", think_s=THINK_S)
        live = None
        if url is not None:
            on_step(f"holding {LIVE_CALLS} calls")
            live = await _live(await url, voices)
    fitted = fit_speeds(seen)
    took_s = time.monotonic() - began_at
    speeds = Speeds(
        cores=cores,
        **fitted.parameters,
        session_cores=0.012 if live is None else live.session_cores,
        crowd_speed=crowd,
        hearing_s=sum(turn.hearing_s or 0.0 for turn in conversation.turns) / len(conversation.turns),
        sending_s=0.03 if live is None else live.sending_s,
        places=_places(profile),
        spread=fitted.spread,
        errors=fitted.errors,
    )
    return Calibration(
        format=FORMAT,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        took_s=took_s,
        voicectl=__version__,
        machine=Machine(_processor(), cores, psutil.virtual_memory().total, profile.hardware.gpu, others.cores()),
        profile=profile.name,
        models=profile.model_names(),
        pins=_pins(profile),
        versions={name: importlib.metadata.version(name) for name in _LIBRARIES},
        settings={section: getattr(profile, section).model_dump(mode="json") for section in ("stt", "llm", "tts")},
        threads=thread_settings(profile),
        speeds=speeds,
        residuals=fitted.residuals,
        live=live,
        conversation=conversation,
    )


async def profile_utterances(
    profile: Profile, utterances: Sequence[Samples], name: str, think_s: float
) -> Conversation:
    """Return what conversations of these utterances ask of the profile's engine, without calibrating it."""
    roots = model_roots(profile)
    async with Engine(profile, roots, options=EngineOptions(log_level="error", standby=False)) as engine:
        return await profiled(engine, profile, roots["vad"], utterances, name=name, think_s=think_s, times=REPEATS)


async def _stages(
    engine: Engine, profile: Profile, cores: int, began_at: float, on_step: Callable[[str], None]
) -> tuple[list[Samples], list[Observation], float]:
    """Return what was spoken, all that was timed, and how fast a core is while all are at work, against alone."""
    voices: list[Samples] = []
    seen: list[Observation] = []
    crowds: list[tuple[float, float]] = []
    share = len(probe.SENTENCES) // ROUNDS
    rounds_began_at = time.monotonic()
    for number in range(ROUNDS):
        fresh, found = await probe.spoken(engine, probe.SENTENCES[number * share : (number + 1) * share])
        voices += fresh
        seen += found
        now = time.monotonic()
        if not time_for_round(number, now - began_at, now - rounds_began_at):
            continue
        on_step(f"timing the stages, round {number + 1} of {ROUNDS}")
        seen += await probe.transcriptions(engine, profile, voices)
        seen += await probe.scores(engine, fresh)
        seen += await probe.prompts(engine, profile)
        seen += await probe.replies(engine, profile)
        if cores > 1:
            crowds.append(await probe.crowd(engine, voices[0]))
    return voices, seen, crowd_speed(crowds)


def time_for_round(number: int, elapsed_s: float, rounds_s: float) -> bool:
    """Return whether round `number`, counted from 0, fits into the minute.

    `elapsed_s` have gone by, `rounds_s` of them in rounds.
    """
    if number < LEAST_ROUNDS:
        return True
    return elapsed_s + (1 + REST_IN_ROUNDS) * rounds_s / number <= BUDGET_S


def crowd_speed(crowds: Sequence[tuple[float, float]]) -> float:
    """Return the speed of a core among busy ones, from the seconds of the same work alone and beside others."""
    alone_s, crowded_s = (sum(part) for part in zip(*crowds, strict=True)) if crowds else (1.0, 1.0)
    return min(1.0, max(LEAST_CROWD_SPEED, alone_s / max(crowded_s, 1e-9)))


@contextlib.asynccontextmanager
async def _loading(
    open_gateway: OpenGateway | None,
) -> AsyncIterator[Callable[[], asyncio.Task[str] | None]]:
    """Give what begins to start the gateway, and returns what will be its URL; it is stopped at the end."""
    async with contextlib.AsyncExitStack() as stack:
        starts: list[asyncio.Task[str]] = []

        def begin() -> asyncio.Task[str] | None:
            if open_gateway is None:
                return None
            starts.append(asyncio.create_task(stack.enter_async_context(open_gateway())))
            return starts[-1]

        try:
            yield begin
        finally:
            for start in starts:
                start.cancel()
            if starts:
                await asyncio.wait(starts)


async def _live(url: str, voices: Sequence[Samples]) -> LiveCall:
    """Hold a few calls through a real gateway and return what only they show. Raises EngineError without an answer."""
    shortest = sorted(voices, key=len)[:LIVE_TURNS]
    utterances = [Utterance.of(f"sentence {index}", voice, MODEL_RATE_HZ) for index, voice in enumerate(shortest)]
    shape = LoadShape(LIVE_CALLS, LIVE_TURNS, stagger_s=LIVE_STAGGER_S, pause_s=LIVE_PAUSE_S, unanswered_s=15.0)
    await asyncio.sleep(SETTLE_S)
    calls = asyncio.create_task(run_calls(url, shape, utterances))
    await asyncio.wait({calls}, timeout=CALLS_SETTLE_S)
    before, began_at = family(os.getpid()), time.monotonic()
    outcomes = await calls
    after, wall_s = family(os.getpid()), time.monotonic() - began_at
    turns = [turn for outcome in outcomes for turn in outcome.turns if turn.report.v2v_ms is not None]
    if not turns:
        failures = "; ".join(outcome.failure or "no answer" for outcome in outcomes)
        raise EngineError(
            f"none of {LIVE_CALLS} calls was answered: {failures}", hint="try `voicectl talk --ask Hello`"
        )
    # Without any call it takes some 0.01 cores, which nobody would notice here.
    cores = _gateway_s(before, after) / wall_s / LIVE_CALLS
    sending = sorted(_sending_s(turn) for turn in turns)
    memory: dict[str, int] = {}
    for usage in after.values():
        if not usage.name.startswith("python"):
            memory[usage.name] = max(memory.get(usage.name, 0), usage.rss_bytes)
    return LiveCall(
        session_cores=cores,
        sending_s=sending[len(sending) // 2],
        v2v_s=tuple((turn.report.v2v_ms or 0.0) / 1000 for turn in turns),
        num_calls=LIVE_CALLS,
        memory_bytes=memory,
    )


def _gateway_s(before: Mapping[int, Usage], after: Mapping[int, Usage]) -> float:
    """Return the processor seconds of the gateway's own process in between."""
    return sum(
        usage.cpu_s - before[pid].cpu_s for pid, usage in after.items() if usage.name == "gateway" and pid in before
    )


def _sending_s(turn: TurnOutcome) -> float:
    """Return what of a turn lies behind its stages up to the first sound: playout, transport, lead-in, the rest."""
    stages = turn.report.stages_ms
    spent_ms = sum(stages[name] or 0.0 for name in _PATHS)
    return max(0.0, (turn.report.v2v_ms or 0.0) - spent_ms) / 1000


def _places(profile: Profile) -> dict[str, Place]:
    return {
        stage: "gpu" if worker.device == "cuda" and stage in ("stt", "llm") else "cpu"
        for worker in profile.workers
        if not worker.fallback
        for stage in worker.stages
    }


def _pins(profile: Profile) -> dict[str, str]:
    """Return the digest of the largest file of each model: the weights."""
    lock = read_lock()
    models = {name: lock.model(name) for name in profile.model_names().values()}
    return {name: max(model.files, key=lambda file: file.size).sha256 for name, model in models.items()}


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
