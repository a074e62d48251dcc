"""Events in the order of their time, over the pools of cores on which work goes on. Knows no stage."""

import heapq
import itertools
from collections.abc import Callable, Mapping

from voicectl.capacity.cores import Computation, Cores

Act = Callable[[], None]


class Timeline:
    """A clock that jumps from one event to the next. Events of one instant happen in the order they were asked for."""

    def __init__(self, pools: Mapping[str, Cores]) -> None:
        self.now = 0.0
        self._pools = pools
        self._events: list[tuple[float, int, Act]] = []
        self._order = itertools.count()
        self._ends: dict[int, tuple[Computation, Act]] = {}

    def at(self, instant: float, act: Act) -> None:
        """Act at an instant, now at the earliest."""
        heapq.heappush(self._events, (max(instant, self.now), next(self._order), act))

    def after(self, seconds: float, act: Act) -> None:
        """Act after a while."""
        self.at(self.now + seconds, act)

    def compute(self, pool: str, work: Computation, act: Act) -> None:
        """Begin a computation, and act when it is done."""
        self._ends[id(work)] = (work, act)
        self._pools[pool].add(work, self.now)

    def run(self, until: float, stopped: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen that happens before `until`, or before `stopped`."""
        pools = list(self._pools.values())
        while not stopped():
            ends = [pool.next_end() for pool in pools]
            soonest = min(ends)
            due = self._events[0][0] if self._events else until
            instant = min(soonest, due)
            if instant >= until:
                self.now = until
                return
            self.now = instant
            if soonest <= due:
                for pool, end in zip(pools, ends, strict=True):
                    if end <= instant:
                        for work in pool.pop_ended(instant):
                            _, act = self._ends.pop(id(work))
                            act()
            else:
                _, _, act_now = heapq.heappop(self._events)
                act_now()
