"""Let one thread at a time compute, the most urgent first. Knows no model and no request."""

import heapq
import threading
from collections.abc import Iterator
from contextlib import contextmanager

Rank = tuple[int, float, int]
"""Priority, seconds of audio already delivered, request id; the lowest goes first."""


class Turnstile:
    """A lock that passes to the lowest rank among those who wait.

    Two decoder runs side by side on the same cores would delay both first chunks. Taking turns a
    chunk long, callers who have heard nothing yet go before those who have audio left to play.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: list[Rank] = []
        self._busy = False

    @contextmanager
    def turn(self, rank: Rank) -> Iterator[None]:
        """Hold the turnstile; blocks until it is free and no lower rank waits."""
        with self._condition:
            heapq.heappush(self._waiting, rank)
            self._condition.wait_for(lambda: not self._busy and self._waiting[0] == rank)
            heapq.heappop(self._waiting)
            self._busy = True
        try:
            yield
        finally:
            with self._condition:
                self._busy = False
                self._condition.notify_all()

    def waiting(self) -> int:
        """Return how many wait."""
        with self._condition:
            return len(self._waiting)
