"""Compute the steps of many streams on a few threads, the most urgent first. Knows no voice and no request."""

import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from voicectl.core.clock import Clock, MonotonicClock
from voicectl.engine.priority import stand_back_thread
from voicectl.engine.tts.pacing import Need, choose, reconsider_s

BACKGROUND_NICENESS: Final = 10
"""How far the background stands back, from this process' other threads and from all other stages."""

T = TypeVar("T")


class _Step(Generic[T]):
    """One computation and who waits for it."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._done = threading.Event()
        self._result: T | None = None
        self._error: Exception | None = None

    def run(self) -> None:
        """Compute, whatever comes of it."""
        try:
            self._result = self._work()
        except Exception as error:  # noqa: BLE001 - it is raised again in the thread that waits for the step
            self._error = error
        finally:
            self._done.set()

    def outcome(self) -> T:
        """Return the result when there is one. Raises what the computation raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]  # set whenever there is no error


class Crew:
    """Two kinds of threads. Those in the background continue streams that have audio enough; the kernel takes
    their core away as soon as a first clause, or another stage, needs it, so nobody waits for their chunk to end.
    """

    def __init__(self, size: int, clock: Clock | None = None) -> None:
        """Start `size` threads of each kind."""
        self._clock = clock or MonotonicClock()
        self._wake = threading.Condition()
        self._waiting: dict[_Step[object], Need] = {}
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, args=(background,), name=name, daemon=True)
            for background, name in ((False, "tts-urgent"), (True, "tts-background"))
            for _ in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def compute(self, need: Need, work: Callable[[], T]) -> T:
        """Return the result of `work`, done when its turn comes. Raises what it raises."""
        step = _Step(work)
        with self._wake:
            if self._closed:
                raise RuntimeError("the crew has gone home")
            self._waiting[step] = need  # type: ignore[index]  # what a step returns does not matter here
            self._wake.notify_all()
        return step.outcome()

    def waiting(self) -> int:
        """Return how many steps wait."""
        with self._wake:
            return len(self._waiting)

    def close(self) -> None:
        """Do what still waits, and end."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    def _work(self, background: bool) -> None:
        if background:
            stand_back_thread(BACKGROUND_NICENESS)
        while (step := self._next(background=background)) is not None:
            step.run()

    def _next(self, *, background: bool) -> _Step[object] | None:
        with self._wake:
            while True:
                now = self._clock.now()
                step = choose(((need, step) for step, need in self._waiting.items()), now, background=background)
                if step is not None:
                    del self._waiting[step]
                    return step
                if self._closed and not self._waiting:
                    return None
                self._wake.wait(None if background else reconsider_s(self._waiting.values(), now))
