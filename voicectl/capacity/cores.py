"""Cores that several computations share, by weight, as Linux does. Knows no stage and no event."""

import math
from dataclasses import dataclass, field
from typing import Final

NICE_STEP: Final = 1.25
"""By how much the kernel's weight changes with each step of niceness (kernel/sched/core.c, sched_prio_to_weight)."""
LEAST_CORES: Final = 1e-6
"""What is left at least, so that everything ends some day."""
_DONE_S: Final = 1e-12


def weight_of(niceness: int) -> float:
    """Return the scheduler's weight of a thread, 1 for niceness 0."""
    return float(NICE_STEP**-niceness)


@dataclass(slots=True, eq=False)
class Computation:
    """Work on its way: `left_s` is how long it would take on cores of its own, on `threads` of them at once."""

    left_s: float
    weight: float
    threads: int = 1
    rate: float = field(default=0.0, init=False)


class Cores:
    """Processor sharing with weights (water-filling): no thread gets more than a core, what it leaves goes to others.

    `background` cores are taken by what always goes before (the gateway). Threads of one computation get equal
    shares and proceed with them: waiting for each other costs them little, for the kernel lets them run together.
    While k cores are busy each runs at a speed between 1 (alone) and `crowd_speed` (all).
    """

    def __init__(self, cores: float, *, background: float = 0.0, crowd_speed: float = 1.0) -> None:
        self._cores = cores
        self._background = min(background, 0.97 * cores)
        self._crowd_speed = crowd_speed
        self._running: list[Computation] = []
        self._now = 0.0
        self._busy = 0.0
        self._next_end = math.inf
        self.busy_core_s = 0.0

    def add(self, work: Computation, now: float) -> None:
        """Begin a computation."""
        self.advance(now)
        self._running.append(work)
        self._share()

    def advance(self, now: float) -> None:
        """Let time pass; nothing may end in between."""
        passed = now - self._now
        if passed > 0:
            for work in self._running:
                work.left_s -= passed * work.rate
            self.busy_core_s += passed * self._busy
            self._now = now

    def next_end(self) -> float:
        """Return when the next computation ends if none begins before; infinity when there is none."""
        return self._next_end

    def pop_ended(self, now: float) -> list[Computation]:
        """Let time pass and return what has ended."""
        self.advance(now)
        ended = [work for work in self._running if work.left_s <= _DONE_S + 1e-9 * work.rate]
        if ended:
            self._running = [work for work in self._running if work not in ended]
            self._share()
        return ended

    def _share(self) -> None:
        shares = self._shares()
        self._busy = sum(share * work.threads for share, work in zip(shares, self._running, strict=True))
        busy = min(self._cores, self._busy + self._background)
        crowd = max(0.0, busy - 1) / (self._cores - 1) if self._cores > 1 else 0.0
        speed = 1 - (1 - self._crowd_speed) * crowd
        soonest = math.inf
        for share, work in zip(shares, self._running, strict=True):
            work.rate = speed * share
            soonest = min(soonest, work.left_s / work.rate)
        self._next_end = self._now + max(0.0, soonest)

    def _shares(self) -> list[float]:
        """Return the part of a core that each thread of every computation gets."""
        running, free = self._running, self._cores - self._background
        if sum(work.threads for work in running) <= free:
            return [1.0] * len(running)
        shares = [0.0] * len(running)
        waiting = list(range(len(running)))
        while waiting:
            total = sum(running[index].weight * running[index].threads for index in waiting)
            sated = [index for index in waiting if free * running[index].weight >= total]
            if not sated:
                for index in waiting:
                    shares[index] = free * running[index].weight / total
                break
            for index in sated:
                shares[index] = 1.0
                free = max(free - running[index].threads, LEAST_CORES)
            waiting = [index for index in waiting if shares[index] == 0.0]
        return shares
