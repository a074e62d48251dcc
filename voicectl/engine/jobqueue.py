"""Decide which jobs of a stage run next, which run together and which are turned away. Knows no thread and no clock."""

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """How much a stage does at once, how many jobs may wait, and from which priority on jobs may not wait.

    `most` is the largest batch. While another batch runs, an incomplete one lingers for company until its
    first job has waited `linger_s`.
    """

    lanes: int
    depth: int
    optional_from: int | None = None
    most: int = 1
    linger_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Verdict(Generic[T]):
    """The answer to an offered job: whether it is in, why not, and the jobs that lost their place to it."""

    admitted: bool
    reason: str = ""
    displaced: tuple[T, ...] = ()


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    """A job in the queue; `order` keeps equals first come, first served."""

    job: T
    request_id: int
    priority: int
    deadline_at: float
    order: int
    group: Hashable | None
    offered_at: float


class JobQueue(Generic[T]):
    """A bounded priority queue that also knows what runs. Lower priorities are sooner.

    Each lane runs a batch: the most important waiting job, and others of its group when more jobs wait than
    lanes are idle. Jobs of priority `optional_from` or more ("optional") never wait behind others and never
    join a batch: they start at once or are turned away, they leave one lane to the rest where there are two
    or more, and an important job that finds no lane free takes theirs.
    """

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._waiting: dict[int, _Entry[T]] = {}
        self._running: dict[int, _Entry[T]] = {}
        self._num_busy = 0
        self._num_offered = 0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    def offer(
        self,
        job: T,
        *,
        request_id: int,
        priority: int,
        deadline_at: float,
        group: Hashable | None = None,
        now: float = 0.0,
    ) -> Verdict[T]:
        """Take a job in, or tell why not. Jobs of one `group` may run together; None runs alone."""
        self._num_offered += 1
        entry = _Entry(job, request_id, priority, deadline_at, self._num_offered, group, now)
        if request_id in self._waiting or request_id in self._running:
            return Verdict(admitted=False, reason=f"request {request_id} is already in progress")
        if self._is_optional(entry):
            return self._offer_optional(entry)
        victims = self._victims_of(entry)
        if self._is_full() and not any(victim.request_id in self._waiting for victim in victims):
            return Verdict(admitted=False, reason=f"{self._limits.depth} requests wait already")
        for victim in victims:
            self._waiting.pop(victim.request_id, None)
        self._waiting[request_id] = entry
        return Verdict(admitted=True, displaced=tuple(victim.job for victim in victims))

    def take(self, now: float = 0.0) -> tuple[T, ...]:
        """Return the jobs to run together on an idle lane, the most important first; none if nothing is due."""
        if self.hold_s(now) != 0.0:
            return ()
        batch = self._next_batch()
        for entry in batch:
            self._running[entry.request_id] = self._waiting.pop(entry.request_id)
        self._num_busy += 1
        return tuple(entry.job for entry in batch)

    def hold_s(self, now: float = 0.0) -> float | None:
        """Return how long `take` will have nothing to give, 0.0 when it has; None when no job waits."""
        batch = self._next_batch()
        if not batch:
            return None
        if self._num_busy == 0 or batch[0].group is None or len(batch) >= self._limits.most:
            return 0.0
        return max(0.0, batch[0].offered_at + self._limits.linger_s - now)

    def finish(self, request_ids: Iterable[int]) -> None:
        """Free the lane of a batch."""
        for request_id in request_ids:
            self._running.pop(request_id, None)
        self._num_busy -= 1

    def withdraw(self, request_id: int) -> T | None:
        """Return the job of this id, no longer waiting; a running one keeps its lane until `finish`."""
        entry = self._waiting.pop(request_id, None) or self._running.get(request_id)
        return None if entry is None else entry.job

    def expire(self, now: float) -> list[T]:
        """Remove and return the waiting jobs whose deadline has passed."""
        late = [entry for entry in self._waiting.values() if entry.deadline_at <= now]
        for entry in late:
            del self._waiting[entry.request_id]
        return [entry.job for entry in late]

    def drain(self) -> list[T]:
        """Empty the queue; return all jobs, waiting first."""
        jobs = [entry.job for entry in (*self._waiting.values(), *self._running.values())]
        self._waiting.clear()
        return jobs

    def _next_batch(self) -> list[_Entry[T]]:
        head = min(self._waiting.values(), key=_rank, default=None)
        if head is None:
            return []
        if head.group is None or self._is_optional(head):
            return [head]
        important = [entry for entry in self._waiting.values() if not self._is_optional(entry)]
        # Two jobs on two idle lanes are done sooner side by side than as one batch.
        share = math.ceil(len(important) / max(1, self._num_idle()))
        mates = sorted((entry for entry in important if entry.group == head.group), key=_rank)
        return mates[: min(share, self._limits.most)]

    def _num_idle(self) -> int:
        return self._limits.lanes - self._num_busy

    def _is_full(self) -> bool:
        # A job that a free lane is about to take does not count as waiting.
        return len(self._waiting) >= self._num_idle() + self._limits.depth

    def _is_optional(self, entry: _Entry[T]) -> bool:
        return self._limits.optional_from is not None and entry.priority >= self._limits.optional_from

    def _optional(self) -> list[_Entry[T]]:
        present = (*self._waiting.values(), *self._running.values())
        return [entry for entry in present if self._is_optional(entry)]

    def _offer_optional(self, entry: _Entry[T]) -> Verdict[T]:
        if len(self._waiting) >= self._num_idle():
            return Verdict(admitted=False, reason=f"all {self._limits.lanes} lanes are busy")
        if len(self._optional()) >= max(1, self._limits.lanes - 1):
            return Verdict(admitted=False, reason="the last lane is kept for more important requests")
        self._waiting[entry.request_id] = entry
        return Verdict(admitted=True)

    def _victims_of(self, entry: _Entry[T]) -> list[_Entry[T]]:
        """Return who makes room for an important job: for its lane, or for its place in the queue."""
        if self._is_full():
            last = max(self._waiting.values(), key=_rank)
            return [last] if last.priority > entry.priority else []
        if len(self._waiting) >= self._num_idle():
            return sorted(self._optional(), key=_rank)[-1:]
        return []


def _rank(entry: _Entry[T]) -> tuple[int, int]:
    return entry.priority, entry.order
