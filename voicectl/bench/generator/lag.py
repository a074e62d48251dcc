"""How late the generator was and how busy: a bounded, even sample, and the busiest stretch. Knows no call."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

MAX_SAMPLES: Final = 10_000
WINDOW_S: Final = 5.0
"""A core is judged over so long: shorter peaks are absorbed by the frames' own punctuality."""


class Thinned:
    """Keeps every n-th value; n doubles whenever the store is full, so that what is kept stays even."""

    def __init__(self, limit: int = MAX_SAMPLES) -> None:
        self.kept: list[float] = []
        self.stride = 1
        self._limit = limit
        self._seen = 0

    def note(self, value: float) -> None:
        """Take in one value."""
        self._seen += 1
        if (self._seen - 1) % self.stride:
            return
        self.kept.append(value)
        if len(self.kept) >= self._limit:
            self.kept = self.kept[::2]
            self.stride *= 2


def merged(samples: Iterable[tuple[int, Sequence[float]]]) -> tuple[float, ...]:
    """Return samples of different strides as one that is even: all are thinned as the thinnest is."""
    known = list(samples)
    widest = max((stride for stride, _ in known), default=1)
    return tuple(value for stride, kept in known for value in kept[:: widest // stride])


class CpuWatch:
    """The largest share of one core that this process used over any `WINDOW_S`; call `look` about once a second."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._used = used
        self._looks = [(clock(), used())]
        self._largest: float | None = None

    def look(self) -> None:
        """Note what was used so far."""
        now, used_s = self._clock(), self._used()
        self._looks.append((now, used_s))
        while len(self._looks) > 2 and now - self._looks[1][0] >= WINDOW_S:
            self._looks.pop(0)
        since, before_s = self._looks[0]
        if now - since >= WINDOW_S:
            self._largest = max(self._largest or 0.0, (used_s - before_s) / (now - since))

    def share(self) -> float:
        """Return the largest share; of a run shorter than a window, the share of all of it."""
        self.look()
        if self._largest is not None:
            return self._largest
        since, before_s = self._looks[0]
        now, used_s = self._looks[-1]
        return (used_s - before_s) / (now - since) if now > since else 0.0
