"""Decide when a dead worker is started again, and when that is given up. Knows no process."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Life:
    """One run of a worker process, in seconds on a monotonic clock; `ready_at` is None if it never was."""

    started_at: float
    ready_at: float | None
    ended_at: float


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How patient the supervisor is."""

    first_delay_s: float = 0.1
    max_delay_s: float = 5.0
    healthy_s: float = 30.0
    """A worker that was ready this long has redeemed its earlier ends."""
    max_failed_starts: int = 5
    window_s: float = 60.0
    """Failed starts count while they are younger than this."""


def restart_delay_s(lives: Sequence[Life], policy: RestartPolicy) -> float | None:
    """Return the seconds until the next start, doubling with each unhealthy life; None to give up.

    `lives` are the latest ones, oldest first, and at least one.
    """
    now = lives[-1].ended_at
    streak = 0
    for life in reversed(lives):
        if _was_healthy(life, policy):
            break
        streak += 1
    failed = [life for life in lives[-streak:] if life.ready_at is None and now - life.ended_at <= policy.window_s]
    if streak and len(failed) >= policy.max_failed_starts:
        return None
    return float(min(policy.max_delay_s, policy.first_delay_s * 2 ** max(0, streak - 1)))


def _was_healthy(life: Life, policy: RestartPolicy) -> bool:
    return life.ready_at is not None and life.ended_at - life.ready_at >= policy.healthy_s
