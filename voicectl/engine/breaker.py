"""Decide when a stage that fails is left alone, and when it is tried again. Knows no stage and no clock."""

from collections import deque
from dataclasses import dataclass
from typing import Literal

from voicectl.core.errors import EngineError
from voicectl.core.sections.resilience import Breakers

BreakerState = Literal["closed", "open", "half_open"]


class BreakerOpen(EngineError):
    """A stage failed too often lately and is left alone for now."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a breaker opens, and for how long; the keys of the profile's section `breakers`."""

    failures: int = 3
    failure_rate: float = 0.5
    min_requests: int = 10
    window_s: float = 30.0
    open_s: float = 1.0
    max_open_s: float = 30.0

    @classmethod
    def of(cls, settings: Breakers) -> "BreakerPolicy":
        """Return the policy of a profile."""
        return cls(
            failures=settings.failures,
            failure_rate=settings.failure_rate,
            min_requests=settings.min_requests,
            window_s=settings.window_s,
            open_s=settings.open_s,
            max_open_s=settings.max_open_s,
        )


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one request, to be answered with how it went. Old ones count no more."""

    epoch: int
    is_probe: bool


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """How a breaker is. `failures` counts those in a row, `num_opened` how often it opened."""

    state: BreakerState
    failures: int
    num_opened: int
    opened_at: float | None


@dataclass(frozen=True, slots=True)
class _Outcome:
    at: float
    failed: bool


class Breaker:
    """Closed until failures come in a row or too often, then open, then half open for one probe at a time.

    Every change of state begins an epoch; what was permitted in an earlier one changes nothing.
    All methods take the instant they are called at.
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._epoch = 0
        self._is_open = False
        self._probing = False
        self._failures = 0
        self._outcomes: deque[_Outcome] = deque(maxlen=max(64, 4 * policy.min_requests))
        self._opened_at: float | None = None
        self._num_opened = 0
        self._openings_in_a_row = 0

    def state(self, now: float) -> BreakerState:
        """Return the state."""
        if not self._is_open:
            return "closed"
        return "half_open" if now >= self.probe_at() else "open"

    def snapshot(self, now: float) -> BreakerSnapshot:
        """Return the state for people and metrics."""
        return BreakerSnapshot(self.state(now), self._failures, self._num_opened, self._opened_at)

    def probe_at(self) -> float:
        """Return when an open breaker lets a probe through."""
        if self._opened_at is None:
            return 0.0
        return self._opened_at + self.wait_s()

    def wait_s(self) -> float:
        """Return how long the breaker stays open, doubling with each failed probe."""
        doubled = self._policy.open_s * 2.0 ** min(32, max(0, self._openings_in_a_row - 1))
        return min(self._policy.max_open_s, doubled)

    def would_allow(self, now: float) -> bool:
        """Return whether `ask` would permit a request."""
        state = self.state(now)
        return state == "closed" or (state == "half_open" and not self._probing)

    def ask(self, now: float) -> Permit | None:
        """Return the permit for a request, None while the stage is left alone."""
        if not self.would_allow(now):
            return None
        if self._is_open:
            self._probing = True
        return Permit(self._epoch, is_probe=self._is_open)

    def succeeded(self, permit: Permit, now: float) -> None:
        """The request was answered: a probe closes the breaker."""
        if permit.epoch != self._epoch:
            return
        self._failures = 0
        if permit.is_probe:
            self._close()
        else:
            self._outcomes.append(_Outcome(now, failed=False))

    def failed(self, permit: Permit, now: float) -> None:
        """The request was not answered, or too late: a probe opens the breaker for longer."""
        if permit.epoch != self._epoch:
            return
        self._failures += 1
        self._outcomes.append(_Outcome(now, failed=True))
        if permit.is_probe or self._failures >= self._policy.failures or self._fails_often(now):
            self._open(now)

    def abandoned(self, permit: Permit) -> None:
        """The request was given up or refused for its own sake; it says nothing about the stage."""
        if permit.epoch == self._epoch and permit.is_probe:
            self._probing = False

    def _fails_often(self, now: float) -> bool:
        recent = [outcome for outcome in self._outcomes if now - outcome.at <= self._policy.window_s]
        if len(recent) < self._policy.min_requests:
            return False
        return sum(outcome.failed for outcome in recent) >= self._policy.failure_rate * len(recent)

    def _open(self, now: float) -> None:
        self._epoch += 1
        self._is_open = True
        self._probing = False
        self._opened_at = now
        self._num_opened += 1
        self._openings_in_a_row += 1
        self._outcomes.clear()

    def _close(self) -> None:
        self._epoch += 1
        self._is_open = False
        self._probing = False
        self._failures = 0
        self._opened_at = None
        self._openings_in_a_row = 0
        self._outcomes.clear()
