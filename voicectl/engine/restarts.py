"""Decide when a dead worker is started again, and when it counts as failed. Knows no process."""

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
    max_ready_delay_s: float = 0.4
    """The longest wait after a worker that was ready: callers wait for its successor."""
    healthy_s: float = 5.0
    """A worker that was ready this long has redeemed its earlier ends."""
    max_failed_starts: int = 5
    window_s: float = 60.0
    """Failed starts count while they are younger than this."""
    retry_start_s: float = 30.0
    """Time between starts of a worker that counts as failed."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Start again in `delay_s`; `failed` is whether nobody should wait for that."""

    delay_s: float
    failed: bool = False


def next_restart(lives: Sequence[Life], policy: RestartPolicy) -> Restart:
    """Return when to start again. `lives` are the latest ones, oldest first, and at least one.

    At once after a first end. Then later and later: with each failed start, and, within narrower bounds,
    with each life that was short.
    """
    now = lives[-1].ended_at
    streak = 0
    for life in reversed(lives):
        if _was_healthy(life, policy):
            break
        streak += 1
    if streak == 0:
        return Restart(0.0)
    failed = [life for life in lives[-streak:] if life.ready_at is None and now - life.ended_at <= policy.window_s]
    if len(failed) >= policy.max_failed_starts:
        return Restart(policy.retry_start_s, failed=True)
    if lives[-1].ready_at is None:
        return Restart(_doubled(policy, streak, policy.max_delay_s))
    return Restart(0.0 if streak == 1 else _doubled(policy, streak - 1, policy.max_ready_delay_s))


def _doubled(policy: RestartPolicy, times: int, longest_s: float) -> float:
    return float(min(longest_s, policy.first_delay_s * 2 ** (times - 1)))


def _was_healthy(life: Life, policy: RestartPolicy) -> bool:
    return life.ready_at is not None and life.ended_at - life.ready_at >= policy.healthy_s
