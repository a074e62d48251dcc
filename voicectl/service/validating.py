"""Hold a prediction against real calls: run the load at the predicted knee, and compare."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from voicectl.bench.generator.run import Limits, run_load
from voicectl.bench.generator.target import Target
from voicectl.bench.outgoing import at_wire_rate
from voicectl.bench.run_record import LoadPlan, RunRecord
from voicectl.bench.waveform import audible_span
from voicectl.bench.workload.ready import ReadyConversation, ReadyTurn, ReadyWorkload, Sound, with_digest
from voicectl.capacity.conversation import Conversation
from voicectl.capacity.prediction import Band, Host, Knee, Slo, knee
from voicectl.core.audio import MODEL_RATE_HZ, Samples, float_to_pcm16
from voicectl.core.errors import ConfigError, EngineError
from voicectl.core.profile import Profile
from voicectl.engine.engine import Engine, EngineOptions
from voicectl.service.app import model_roots
from voicectl.service.stage_probes import SENTENCES, spoken

WIRE_RATE_HZ = 24_000
ANSWER_TIMEOUT_S = 15.0
DRAIN_S = 5.0
"""How long turns that were begun in time may still be answered."""
MOST_CALLS = 255
CALLERS_CORES = 0.06
"""What the callers take of the same cores (0.04 to 0.08 at 4 to 16 calls, `docs/performance.md`)."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a real load gave: answered turns, how many turns got no answer in time, what the callers took of a core."""

    v2v_s: tuple[float, ...]
    unanswered: int
    callers_cores: float


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


def while_held(host: Host, seconds: float) -> Host:
    """Return the host under calls that `held_by` holds for so long: others take of its cores, calls are short.

    Turns count from the second on, so that on average one more lies behind them than half of what counts.
    """
    conversation = host.conversation
    return replace(
        host, others_cores=CALLERS_CORES, conversation=conversation.lasting(2 * conversation.cycle_s() + seconds)
    )


async def validate(
    host: Host, slo: Slo, hold: HoldLoad, *, seconds: float, on_level: Callable[[int], None] = lambda calls: None
) -> Validation:
    """Predict the knee, hold loads at and around it, and compare.

    Where all three loads keep the promise, or none does, one more is held on the other side. Raises ConfigError where
    even one call is predicted to break the promise, EngineError where no turn of a load was answered.
    """
    found = knee(host, slo, most=MOST_CALLS)
    if not found.calls:
        raise ConfigError(
            f"{slo} cannot be kept: one call alone has {found.best_s * 1000:.0f} ms", hint="validate a wider promise"
        )
    held: dict[int, Held] = {}
    for num in sorted({max(1, round(found.calls * part)) for part in (0.75, 1.0, 1.25)}):
        on_level(num)
        held[num] = await hold(num, seconds)
    beyond = other_side({num: percentile_of(num, one, 95) for num, one in held.items()}, slo.limit_s)
    if beyond is not None:
        on_level(beyond)
        held[beyond] = await hold(beyond, seconds)
    return compared(host, slo, held, found)


def compared(host: Host, slo: Slo, held: Mapping[int, Held], found: Knee | None = None) -> Validation:
    """Return what the host is predicted to give beside what the loads gave, by calls at once.

    `found` is the predicted knee, where it is known already. Raises EngineError for a load without any answer.
    """
    found = found or knee(host, slo, most=MOST_CALLS)
    levels = []
    for num, one in sorted(held.items()):
        measured_s = percentile_of(num, one, 95)
        num_turns = len(one.v2v_s) + one.unanswered
        predicted = host.predict(num, measured_turns=num_turns).p95
        levels.append(Level(num, num_turns, one.unanswered, predicted, measured_s))
    at_limit = {num: percentile_of(num, one, slo.percentile) for num, one in sorted(held.items())}
    measured = crossing(list(at_limit), list(at_limit.values()), slo.limit_s)
    return Validation(slo, found.calls, found.low, found.high, measured, tuple(levels))


def percentile_of(num_calls: int, held: Held, percentile: float) -> float:
    """Return a percentile of a load's turns, seconds; one without an answer is slower than every other.

    Raises EngineError for a load without any answer.
    """
    if not held.v2v_s:
        raise EngineError(
            f"none of the turns of {num_calls} calls was answered", hint="try `voicectl talk --ask Hello`"
        )
    values = [*held.v2v_s, *[ANSWER_TIMEOUT_S] * held.unanswered]
    return float(np.percentile(values, percentile))


def crossing(calls: Sequence[int], limits_s: Sequence[float], limit_s: float) -> float | None:
    """Return the load at which a percentile crosses the limit; `calls` ascend. None where it does not rise.

    Between two loads, and beyond the last, by a line through the logarithms. Loads whose percentile is below that of
    a smaller one, which only chance does, are pooled with it.
    """
    pools: list[tuple[float, float, int]] = []
    for num, value in zip(calls, limits_s, strict=True):
        pools.append((float(num), math.log(value), 1))
        while len(pools) > 1 and pools[-1][1] <= pools[-2][1]:
            (left, low, few), (right, high, more) = pools[-2:]
            both = few + more
            pools[-2:] = [((left * few + right * more) / both, (low * few + high * more) / both, both)]
    if len(pools) < 2:
        return None
    wanted = math.log(limit_s)
    above = next((index for index, pool in enumerate(pools) if pool[1] > wanted), len(pools) - 1)
    (left, low, _), (right, high, _) = pools[max(above, 1) - 1], pools[max(above, 1)]
    return max(0.0, left + (right - left) * (wanted - low) / (high - low))


def other_side(limits_s: Mapping[int, float], limit_s: float) -> int | None:
    """Return the load to hold next where all keep the limit, or none does; None where it lies between them."""
    calls = sorted(limits_s)
    guess = crossing(calls, [limits_s[num] for num in calls], limit_s)
    if all(value > limit_s for value in limits_s.values()):
        lowest = calls[0]
        if lowest == 1:
            return None
        least, most = max(1, lowest // 2), lowest - 1
        return least if guess is None else min(most, max(least, math.floor(guess)))
    if all(value <= limit_s for value in limits_s.values()):
        least, most = calls[-1] + 1, min(MOST_CALLS, calls[-1] * 3 // 2 + 1)
        return most if guess is None else min(most, max(least, math.ceil(guess)))
    return None


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


async def held_by(target: Target, workload: ReadyWorkload, num_calls: int, seconds: float, *, cycle_s: float) -> Held:
    """Hold calls with the load generator, begun evenly over `cycle_s`, the time from one turn's words to the next.

    No call ends before the load does. The turns of the first cycle, while calls join, do not count.
    """
    begun_s = cycle_s * (num_calls - 1) / num_calls
    plan = LoadPlan(
        workload=workload.name,
        workload_digest=workload.digest,
        seed=1,
        arrivals="trace",
        calls_per_minute=None,
        concurrency=None,
        burstiness=None,
        duration_s=cycle_s + seconds,
        answer_timeout_s=ANSWER_TIMEOUT_S,
    )
    whole = lasting(workload, plan.duration_s + DRAIN_S)
    trace = [begun_s * number / max(1, num_calls - 1) for number in range(num_calls)]
    record = await run_load(plan, whole, target, trace=trace, limits=Limits(drain_s=DRAIN_S))
    return held_of(record, cycle_s, plan.duration_s)


def lasting(workload: ReadyWorkload, seconds: float) -> ReadyWorkload:
    """Return the workload with conversations whose words and pauses alone fill so many seconds."""
    kinds = []
    for kind in workload.conversations:
        once_s = sum(turn.duration_s + turn.pause_s for turn in kind.turns)
        kinds.append(replace(kind, turns=kind.turns * max(1, math.ceil(seconds / once_s))))
    return with_digest(replace(workload, conversations=tuple(kinds)))


def held_of(record: RunRecord, from_s: float, until_s: float) -> Held:
    """Return the turns of a run whose last words were to be said between two instants of it."""
    turns = [turn for call in record.calls for turn in call.turns if turn.kind == "speech"]
    counted = [turn for turn in turns if turn.intended_at is not None and from_s <= turn.intended_at < until_s]
    answered = tuple(turn.v2v_s for turn in counted if turn.v2v_s is not None)
    unanswered = sum(turn.end == "timed-out" for turn in counted)
    return Held(answered, unanswered, record.health.cpu_share)
