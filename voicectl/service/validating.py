"""Hold a prediction against real calls: run the load at the predicted knee, and compare."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from voicectl.bench.generator.run import Limits, run_load
from voicectl.bench.generator.target import Target
from voicectl.bench.outgoing import at_wire_rate
from voicectl.bench.run_record import LoadPlan, RunRecord
from voicectl.bench.waveform import audible_span
from voicectl.bench.workload.ready import ReadyConversation, ReadyTurn, ReadyWorkload, Sound, with_digest
from voicectl.capacity.conversation import Conversation
from voicectl.capacity.prediction import Band, Host, Slo, knee
from voicectl.core.audio import MODEL_RATE_HZ, Samples, float_to_pcm16
from voicectl.core.errors import ConfigError, EngineError
from voicectl.core.profile import Profile
from voicectl.engine.engine import Engine, EngineOptions
from voicectl.service.app import model_roots
from voicectl.service.stage_probes import SENTENCES, spoken

WIRE_RATE_HZ = 24_000
ANSWER_TIMEOUT_S = 15.0
WARM_UP_S = 8.0
"""Turns of the first seconds do not count: the calls all begin at once."""
MOST_CALLS = 255
CALLERS_CORES = 0.06
"""What the callers take of the same cores (0.04 to 0.08 at 4 to 16 calls, `docs/performance.md`)."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a real load gave: answered turns, and how many turns got no answer in time."""

    v2v_s: tuple[float, ...]
    unanswered: int
    generator_lag_p99_s: float


HoldLoad = Callable[[int, float], Awaitable[Held]]
"""Holds so many calls at once for so many seconds."""


@dataclass(frozen=True, slots=True)
class Level:
    """One load: predicted and measured P95, seconds. `inside` tells whether the interval held."""

    calls: int
    num_turns: int
    unanswered: int
    predicted: Band
    measured_s: float

    @property
    def inside(self) -> bool:
        """Tell whether the measured P95 lies in the predicted interval."""
        return self.predicted.low <= self.measured_s <= self.predicted.high


@dataclass(frozen=True, slots=True)
class Validation:
    """Predicted against measured: the highest load with the promise, and P95 at loads around it."""

    slo: Slo
    predicted_calls: int
    predicted_low: int
    predicted_high: int
    measured_calls: float | None
    levels: tuple[Level, ...]

    @property
    def error(self) -> float | None:
        """Return the relative error of the predicted highest load; None where it was not reached."""
        return None if not self.measured_calls else self.predicted_calls / self.measured_calls - 1


async def validate(
    host: Host, slo: Slo, hold: HoldLoad, *, seconds: float, on_level: Callable[[int], None] = lambda calls: None
) -> Validation:
    """Predict the knee, hold loads at and around it, and compare. Raises ConfigError where even one call breaks it."""
    found = knee(host, slo, most=MOST_CALLS)
    if not found.calls:
        raise ConfigError(
            f"{slo} cannot be kept: one call alone has {found.best_s * 1000:.0f} ms", hint="validate a wider promise"
        )
    calls = sorted({max(1, round(found.calls * part)) for part in (0.75, 1.0, 1.25)})
    levels = []
    for num in calls:
        on_level(num)
        held = await hold(num, seconds)
        if not held.v2v_s:
            raise EngineError(f"none of the turns of {num} calls was answered")
        # A turn without an answer is slower than every other.
        values = [*held.v2v_s, *[ANSWER_TIMEOUT_S] * held.unanswered]
        predicted = host.predict(num, measured_turns=len(values)).p95
        levels.append(Level(num, len(values), held.unanswered, predicted, float(np.percentile(values, 95))))
    measured = crossing([level.calls for level in levels], [level.measured_s for level in levels], slo.limit_s)
    return Validation(slo, found.calls, found.low, found.high, measured, tuple(levels))


def crossing(calls: Sequence[int], p95_s: Sequence[float], limit_s: float) -> float | None:
    """Return the load at which P95 crosses the limit, by a line through ln P95; None where it does not rise."""
    if len(calls) < 2:
        return None
    slope, offset = np.polyfit(np.asarray(calls, dtype=np.float64), np.log(np.asarray(p95_s)), 1)
    return float((math.log(limit_s) - offset) / slope) if slope > 1e-6 else None


async def caller_voices(profile: Profile) -> list[Samples]:
    """Speak the reference sentences with the profile's voice; 16 kHz."""
    roots = model_roots(profile)
    options = EngineOptions(log_level="error", standby=False)
    async with Engine(profile, roots, stages=("tts",), options=options) as engine:
        voices, _ = await spoken(engine, SENTENCES)
    return voices


def workload_of(voices: Sequence[Samples], conversation: Conversation) -> ReadyWorkload:
    """Return calls that say the sentences in turn, each beginning with another, and think as in the conversation."""
    sounds = []
    for voice in voices:
        samples = at_wire_rate(voice, MODEL_RATE_HZ)
        span = audible_span(samples, WIRE_RATE_HZ)
        sounds.append(
            Sound(
                float_to_pcm16(samples), None if span is None else span.first_s, None if span is None else span.last_s
            )
        )
    turns = [
        ReadyTurn(
            f"sentence-{index}",
            "speech",
            index,
            len(sound.pcm) / 2 / WIRE_RATE_HZ,
            conversation.think_s,
            conversation.think_spread_s,
        )
        for index, sound in enumerate(sounds)
    ]
    kinds = tuple(
        ReadyConversation(f"from-{start}", 1.0, tuple(turns[start:] + turns[:start])) for start in range(len(turns))
    )
    return with_digest(ReadyWorkload("reference", "", kinds, tuple(sounds)))


async def held_by(target: Target, workload: ReadyWorkload, num_calls: int, seconds: float) -> Held:
    """Hold calls with the load generator; the first seconds do not count."""
    plan = LoadPlan(
        workload=workload.name,
        workload_digest=workload.digest,
        seed=1,
        arrivals="closed",
        calls_per_minute=None,
        concurrency=num_calls,
        burstiness=None,
        duration_s=seconds + WARM_UP_S,
        answer_timeout_s=ANSWER_TIMEOUT_S,
    )
    return held_of(await run_load(plan, workload, target, limits=Limits(drain_s=5.0)))


def held_of(record: RunRecord) -> Held:
    """Return the counted turns of a run."""
    turns = [turn for call in record.calls for turn in call.turns if turn.kind == "speech"]
    counted = [turn for turn in turns if turn.intended_at is not None and turn.intended_at >= WARM_UP_S]
    answered = tuple(turn.v2v_s for turn in counted if turn.v2v_s is not None)
    unanswered = sum(turn.end == "timed-out" for turn in counted)
    lag = float(np.percentile(record.health.lag_s, 99)) if record.health.lag_s else 0.0
    return Held(answered, unanswered, lag)
