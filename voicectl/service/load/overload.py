"""Decide from the load what is left out and who gets in, one step after the other, and watch the load."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog

from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.measures import Measures
from voicectl.core.profile import Profile
from voicectl.core.sections.hardware import Stage
from voicectl.core.sections.resilience import Overload
from voicectl.engine.stageload import StageLoad
from voicectl.service.load.admission import Door

Step = Literal[
    "drop_partials", "rarer_partials", "shorter_replies", "smaller_model", "queue_sessions", "refuse_sessions"
]

ALL_STEPS: Final[tuple[Step, ...]] = (
    "drop_partials",
    "rarer_partials",
    "shorter_replies",
    "smaller_model",
    "queue_sessions",
    "refuse_sessions",
)
SESSION_STEPS: Final[frozenset[Step]] = frozenset({"queue_sessions", "refuse_sessions"})
FEW_REQUESTS: Final = 5
"""With fewer answers than this, one slow one is chance: their median counts."""
MAX_DISTRUST: Final = 8.0
"""By how much the wait for recovery grows when steps have to be taken again soon after."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LoadSample:
    """The load at one instant: of each stage, of the event loop, and the calls in progress."""

    stages: Mapping[Stage, StageLoad] = field(default_factory=dict)
    loop_lag_ms: float = 0.0
    live_calls: int = 0
    waiting_calls: int = 0


@dataclass(frozen=True, slots=True)
class Pressure:
    """How high the load is against its thresholds (1 is at them), and what is nearest to its own."""

    ratio: float
    source: str


@dataclass(frozen=True, slots=True)
class Stance:
    """What the appliance does about its load."""

    measures: Measures = field(default_factory=Measures)
    door: Door = "open"


def pressure_of(sample: LoadSample, settings: Overload) -> Pressure:
    """Return the highest of all loads against their thresholds."""
    limits: dict[Stage, float] = {
        "stt": settings.stt_s,
        "llm": settings.llm_s,
        "tts": settings.tts_s,
        "turn": settings.turn_s,
    }
    ratios = [Pressure(sample.loop_lag_ms / settings.loop_lag_ms, "gateway")]
    for stage, load in sample.stages.items():
        latency_s = load.p90_s if load.num_recent >= FEW_REQUESTS else load.p50_s
        slowest_s = max(latency_s or 0.0, load.oldest_wait_s)
        ratios.append(Pressure(slowest_s / limits[stage], stage))
        ratios.append(Pressure(load.open_requests / settings.open_requests, stage))
    return max(ratios, key=lambda pressure: pressure.ratio)


def stance_of(steps: tuple[Step, ...], settings: Overload, *, falling: bool, reason: str) -> Stance:
    """Return what the steps taken mean. On the way down, partials come back rarer before they are as usual."""
    names: tuple[str, ...] = steps
    partials = "drop_partials" not in steps
    rarer = "rarer_partials" in steps
    if falling and steps == ("drop_partials",):
        names, partials, rarer = ("rarer_partials",), True, True
    measures = Measures(
        level=len(steps),
        names=names,
        reason=reason if steps else "",
        partials=partials,
        partial_interval_factor=settings.partial_interval_factor if rarer else 1.0,
        reply_tokens_factor=settings.reply_tokens_factor if "shorter_replies" in steps else 1.0,
        smaller_model="smaller_model" in steps,
    )
    door: Door = "open"
    if "refuse_sessions" in steps:
        door = "closed"
    elif "queue_sessions" in steps:
        door = "queue"
    return Stance(measures, door)


class Ladder:
    """Takes a step when the load is high and gives one back when it has been low for a while.

    Between the thresholds nothing changes. A step that has to be taken again soon after it was given
    back doubles the time until the next one is given back.
    """

    def __init__(self, settings: Overload, steps: tuple[Step, ...] = ALL_STEPS) -> None:
        self._settings = settings
        self._steps = steps
        self._level = 0
        self._falling = False
        self._changed_at: float | None = None
        self._low_since: float | None = None
        self._distrust = 1.0
        self._reason = ""

    @property
    def level(self) -> int:
        """How many steps are taken."""
        return self._level

    def look(self, sample: LoadSample, now: float) -> Stance:
        """Take in the load at `now`; return what to do about it."""
        pressure = pressure_of(sample, self._settings)
        if pressure.ratio >= 1:
            self._low_since = None
            self._reason = pressure.source
            self._rise(sample, now)
        elif pressure.ratio < self._settings.low_ratio:
            self._fall(now)
        else:
            self._low_since = None
        return stance_of(self._steps[: self._level], self._settings, falling=self._falling, reason=self._reason)

    def _rise(self, sample: LoadSample, now: float) -> None:
        if self._level >= self._highest(sample):
            return
        if self._changed_at is not None and now - self._changed_at < self._settings.settle_s:
            return
        if self._falling and self._changed_at is not None and now - self._changed_at < self._recovery_s():
            self._distrust = min(MAX_DISTRUST, self._distrust * 2)
        self._level += 1
        self._falling = False
        self._changed_at = now

    def _fall(self, now: float) -> None:
        if self._low_since is None:
            self._low_since = now
        if now - self._low_since < self._recovery_s():
            return
        if self._level == 0:
            self._distrust = 1.0
            self._falling = False
            return
        self._level -= 1
        self._falling = True
        self._changed_at = self._low_since = now

    def _recovery_s(self) -> float:
        return self._settings.recover_s * self._distrust

    def _highest(self, sample: LoadSample) -> int:
        if sample.live_calls + sample.waiting_calls:
            return len(self._steps)
        # Nobody would be helped if new calls were kept out while there is none.
        return sum(step not in SESSION_STEPS for step in self._steps)


def steps_of(profile: Profile) -> tuple[Step, ...]:
    """Return the steps that a profile can take: a smaller model only where one is named."""
    has_smaller = any(worker.models for worker in profile.workers)
    return tuple(step for step in ALL_STEPS if step != "smaller_model" or has_smaller)


class OverloadWatch:
    """Looks at the load at intervals and tells of every change; `run` is a task of the gateway."""

    def __init__(
        self,
        profile: Profile,
        sample: Callable[[float], LoadSample],
        on_change: Callable[[Stance], None],
        clock: Clock | None = None,
    ) -> None:
        """`sample` returns the load, given the lateness of the event loop in milliseconds."""
        self._settings = profile.overload
        self._ladder = Ladder(profile.overload, steps_of(profile))
        self._sample = sample
        self._on_change = on_change
        self._clock = clock or MonotonicClock()
        self._stance = Stance()

    @property
    def stance(self) -> Stance:
        """What is done about the load at present."""
        return self._stance

    async def run(self) -> None:
        """Look at the load until cancelled."""
        interval_s = self._settings.sample_ms / 1000
        while self._settings.enabled:
            due_at = self._clock.now() + interval_s
            await asyncio.sleep(interval_s)
            self.look(max(0.0, self._clock.now() - due_at) * 1000)

    def look(self, loop_lag_ms: float) -> None:
        """Look at the load once."""
        stance = self._ladder.look(self._sample(loop_lag_ms), self._clock.now())
        before, self._stance = self._stance, stance
        if (stance.measures.names, stance.door) == (before.measures.names, before.door):
            return
        log.warning(
            "load_answered",
            steps=stance.measures.level,
            measures=stance.measures.names,
            reason=stance.measures.reason,
            door=stance.door,
        )
        self._on_change(stance)
