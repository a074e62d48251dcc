"""Know when no call is in progress, and end work at once when one begins."""

import asyncio
import contextlib
from collections.abc import Callable, Generator
from typing import Any

from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.events import CallEvent
from voicectl.core.ports import CallIdentity


class Quiet:
    """A CallObserver that counts live calls. Use it on the event loop only.

    `is_busy` tells of other work that callers wait for, such as sessions that have a place already.
    """

    def __init__(self, *, is_busy: Callable[[], bool] = lambda: False, clock: Clock | None = None) -> None:
        self._is_busy = is_busy
        self._clock = clock or MonotonicClock()
        self._ended_at: float | None = None
        self._live: set[str] = set()
        self._working: set[asyncio.Task[Any]] = set()
        self._ended = asyncio.Event()
        self._num_ended = 0

    @property
    def now(self) -> bool:
        """Whether no call is in progress."""
        return not self._live and not self._is_busy()

    def settles_in_s(self, settle_s: float) -> float:
        """Return how long it takes until the last call is over for `settle_s`: callers who were cut off call again."""
        if self._ended_at is None:
            return 0.0
        return max(0.0, self._ended_at + settle_s - self._clock.now())

    def call_started(self, call: CallIdentity) -> None:
        """A call began: work that was begun in quiet is cancelled."""
        self._live.add(call.session_id)
        for task in self._working:
            task.cancel()

    def call_event(self, call: CallIdentity, event: CallEvent, at: float) -> None:
        """Nothing of what happens in a call matters here."""

    def call_ended(self, call: CallIdentity, reason: str) -> None:
        """A call is over."""
        self._live.discard(call.session_id)
        self._ended_at = self._clock.now()
        self._num_ended += 1
        self._ended.set()

    @property
    def num_ended(self) -> int:
        """How many calls have ended."""
        return self._num_ended

    async def more_ended(self, than: int) -> None:
        """Return once more calls have ended than so many."""
        while self._num_ended <= than:
            self._ended.clear()
            await self._ended.wait()

    @contextlib.contextmanager
    def cancelling(self, task: "asyncio.Task[Any]") -> Generator[None, None, None]:
        """Cancel a task as soon as a call begins inside of the block."""
        self._working.add(task)
        try:
            yield
        finally:
            self._working.discard(task)
