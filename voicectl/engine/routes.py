"""Choose the worker that serves a request of a stage, and learn from how it went. Knows no message."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from voicectl.core.clock import Clock
from voicectl.core.errors import DeadlineExceeded, EngineError, RequestCancelled, RequestRejected, WorkerDied
from voicectl.core.sections.hardware import Stage
from voicectl.engine.breaker import Breaker, BreakerOpen, Permit
from voicectl.engine.resuming import ReplyDiverged
from voicectl.engine.stageload import LoadGauge

LEAST_REMAINING_S: Final = 0.05
"""With less time left, a request is not tried again."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Route(Generic[T]):
    """One way to a stage: its port on one worker. `is_ready` tells whether the worker takes requests now."""

    worker: str
    port: T
    is_ready: Callable[[], bool]
    breaker: Breaker


class Trial(Generic[T]):
    """One attempt at a request on one route, as a context manager; its breaker learns how it ended."""

    def __init__(self, route: Route[T], permit: Permit, clock: Clock, *, is_last: bool, counts: bool) -> None:
        self.route = route
        self._permit = permit
        self._clock = clock
        self._is_last = is_last
        self._counts = counts
        self._answered = False

    def answer(self) -> None:
        """A first result came; who leaves now had no complaint."""
        self._answered = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        breaker, now = self.route.breaker, self._clock.now()
        if error is None or (self._answered and not isinstance(error, Exception)):
            breaker.succeeded(self._permit, now)
        elif self._counts and self._is_failure(error):
            breaker.failed(self._permit, now)
        else:
            breaker.abandoned(self._permit)

    def _is_failure(self, error: BaseException) -> bool:
        if isinstance(error, RequestRejected | RequestCancelled | ReplyDiverged):
            return False
        if isinstance(error, WorkerDied):
            # One death ends many requests; it is a failure of the stage only when trying again did not help.
            return self._is_last
        return isinstance(error, EngineError)


class StageRoutes(Generic[T]):
    """The routes of one stage, the usual one first."""

    def __init__(
        self, stage: Stage, routes: Sequence[Route[T]], gauge: LoadGauge, clock: Clock, *, attempts: int
    ) -> None:
        self.stage = stage
        self.routes = tuple(routes)
        self.gauge = gauge
        self.prefer_fallback = False
        self._clock = clock
        self._attempts = attempts

    def begin(self, attempt: int, *, counts: bool = True, avoid: Route[T] | None = None) -> Trial[T]:
        """Begin an attempt, the first is 1. Raises BreakerOpen.

        Requests that do not count are served only by routes in good health, and open no breaker.
        """
        now = self._clock.now()
        usable = sorted(
            (route for route in self._ordered() if route is not avoid and self._is_usable(route, now, counts=counts)),
            key=lambda route: (not route.is_ready(), route.breaker.state(now) != "closed"),
        )
        for route in usable:
            permit = route.breaker.ask(now)
            if permit is not None:
                return Trial(route, permit, self._clock, is_last=attempt >= self._attempts, counts=counts)
        raise BreakerOpen(self._refusal(now))

    def resume(self, attempt: int, route: Route[T]) -> Trial[T]:
        """Begin another attempt on the same route. Raises BreakerOpen."""
        permit = route.breaker.ask(self._clock.now())
        if permit is None:
            raise BreakerOpen(self._refusal(self._clock.now()))
        return Trial(route, permit, self._clock, is_last=attempt >= self._attempts, counts=True)

    def preferred(self) -> Route[T]:
        """Return the route of the next request, without permission to send it."""
        return min(self._ordered(), key=lambda route: not route.is_ready())

    def may_retry(self, error: EngineError, attempt: int, deadline_at: float) -> bool:
        """Return whether another attempt is due: on the next worker, or on another route."""
        if attempt >= self._attempts or deadline_at - self._clock.now() < LEAST_REMAINING_S:
            return False
        if isinstance(error, WorkerDied):
            return not isinstance(error, ReplyDiverged)
        hopeless = isinstance(error, RequestRejected | RequestCancelled | DeadlineExceeded | BreakerOpen)
        return not hopeless and len(self.routes) > 1

    def deadline_at(self, timeout_s: float) -> float:
        """Return the instant `timeout_s` from now."""
        return self._clock.now() + timeout_s

    def remaining_s(self, deadline_at: float) -> float:
        """Return the seconds until then, at least a moment."""
        return max(0.001, deadline_at - self._clock.now())

    async def call(self, send: Callable[[T, float], Awaitable[R]], *, timeout_s: float, counts: bool = True) -> R:
        """Return the result of a request that has one, from whichever worker gives it in time.

        `send` is given a port and the seconds that are left.
        """
        deadline_at = self.deadline_at(timeout_s)
        avoid: Route[T] | None = None
        attempt = 0
        # What may be dropped says nothing about how long callers wait.
        with self.gauge.request() if counts else contextlib.nullcontext() as request:
            while True:
                attempt += 1
                trial = self.begin(attempt, counts=counts, avoid=avoid)
                try:
                    with trial:
                        result = await send(trial.route.port, self.remaining_s(deadline_at))
                except EngineError as error:
                    if not self.may_retry(error, attempt, deadline_at):
                        raise
                    avoid = None if isinstance(error, WorkerDied) else trial.route
                else:
                    if request is not None:
                        request.answer()
                    return result

    def _ordered(self) -> Sequence[Route[T]]:
        return tuple(reversed(self.routes)) if self.prefer_fallback else self.routes

    def _is_usable(self, route: Route[T], now: float, *, counts: bool) -> bool:
        if route.breaker.state(now) == "closed":
            return True
        # Nobody waits for a worker that failed often before, and what may be dropped is no probe.
        return counts and route.is_ready() and route.breaker.would_allow(now)

    def _refusal(self, now: float) -> str:
        until_s = max(0.0, min(route.breaker.probe_at() for route in self.routes) - now)
        return f"the {self.stage} stage failed too often lately; it is tried again in {until_s:.1f} s"
