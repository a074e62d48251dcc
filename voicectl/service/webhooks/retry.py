"""Decide when a delivery is tried again, and when a receiver is left alone. Numbers in, numbers out."""

from dataclasses import dataclass, replace
from typing import Final

_MAX_DOUBLINGS: Final = 32


@dataclass(frozen=True, slots=True)
class Retries:
    """How hard it is tried. `open_after` failures in a row open the circuit for `max_open_s` at most."""

    backoff_s: float
    max_backoff_s: float
    max_attempts: int
    max_age_s: float
    open_after: int
    max_open_s: float


def backoff_s(attempts: int, retries: Retries, chance: float) -> float:
    """Return the wait after that many attempts.

    It doubles each time up to the longest; `chance` in [0, 1) takes away up to half of it, so that
    deliveries that failed together do not come back together.
    """
    full = retries.backoff_s * 2.0 ** min(attempts - 1, _MAX_DOUBLINGS)
    return min(full, retries.max_backoff_s) * (1 - chance / 2)


def given_up(attempts: int, age_s: float, retries: Retries) -> bool:
    """Whether there is no further attempt."""
    return attempts >= retries.max_attempts or age_s >= retries.max_age_s


@dataclass(frozen=True, slots=True)
class Circuit:
    """How a receiver has done lately. `open_until` is on the monotonic clock."""

    failures: int = 0
    open_until: float = 0.0

    def wait_s(self, now: float) -> float:
        """Return for how long the receiver is still left alone."""
        return max(0.0, self.open_until - now)

    def probing(self, retries: Retries) -> bool:
        """Whether the next attempt is to be the only one."""
        return self.failures >= retries.open_after

    def after(self, *, delivered: bool, now: float, retries: Retries, chance: float) -> "Circuit":
        """Return the circuit after one attempt."""
        if delivered:
            return Circuit()
        failures = self.failures + 1
        if failures < retries.open_after:
            return replace(self, failures=failures)
        limits = replace(retries, max_backoff_s=retries.max_open_s)
        return Circuit(failures, now + backoff_s(failures - retries.open_after + 1, limits, chance))
