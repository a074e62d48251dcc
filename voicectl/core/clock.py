"""Time as the planes see it: seconds on a monotonic clock. Knows no calendar."""

import time
from typing import Protocol


class Clock(Protocol):
    """A source of monotonic seconds."""

    def now(self) -> float:
        """Return the seconds since an arbitrary, fixed origin."""
        ...


class MonotonicClock:
    """The clock of this host (CLOCK_MONOTONIC), common to all its processes."""

    def now(self) -> float:
        """Return the seconds since the host's monotonic origin."""
        return time.monotonic()
