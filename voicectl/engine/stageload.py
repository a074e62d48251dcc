"""Measure one stage as its callers feel it: open requests, the longest wait, recent times to a first result."""

import contextlib
import math
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from voicectl.core.clock import Clock

MAX_SAMPLES: Final = 512


@dataclass(frozen=True, slots=True)
class StageLoad:
    """How busy a stage is. Times are seconds to the first result; None where there was none lately."""

    open_requests: int = 0
    oldest_wait_s: float = 0.0
    p50_s: float | None = None
    p90_s: float | None = None
    num_recent: int = 0


class OpenRequest:
    """One request that a caller waits for."""

    def __init__(self, gauge: "LoadGauge", begun_at: float) -> None:
        self._gauge = gauge
        self.begun_at = begun_at
        self.answered = False

    def answer(self) -> None:
        """Its first result is there; later ones do not count."""
        if not self.answered:
            self.answered = True
            self._gauge.note_answer(self)


class LoadGauge:
    """The requests of one stage, and how late they were answered in a window of `window_s` seconds."""

    def __init__(self, window_s: float, clock: Clock) -> None:
        self._window_s = window_s
        self._clock = clock
        self._open: set[OpenRequest] = set()
        self._latencies: deque[tuple[float, float]] = deque(maxlen=MAX_SAMPLES)

    @contextlib.contextmanager
    def request(self) -> Generator[OpenRequest, None, None]:
        """Count a request while it is open."""
        request = OpenRequest(self, self._clock.now())
        self._open.add(request)
        try:
            yield request
        finally:
            self._open.remove(request)

    def note_answer(self, request: OpenRequest) -> None:
        """Take in the time to a first result."""
        now = self._clock.now()
        self._latencies.append((now, now - request.begun_at))

    def load(self) -> StageLoad:
        """Return how busy the stage is now."""
        now = self._clock.now()
        recent = sorted(latency for at, latency in self._latencies if now - at <= self._window_s)
        waits = [now - request.begun_at for request in self._open if not request.answered]
        return StageLoad(
            open_requests=len(self._open),
            oldest_wait_s=max(waits, default=0.0),
            p50_s=_quantile(recent, 0.5),
            p90_s=_quantile(recent, 0.9),
            num_recent=len(recent),
        )


def _quantile(ordered: list[float], part: float) -> float | None:
    """Return the nearest-rank quantile."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else None
