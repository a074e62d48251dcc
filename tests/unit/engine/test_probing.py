import asyncio

import pytest

from voicectl.core.errors import EngineError
from voicectl.engine.breaker import Breaker, BreakerPolicy
from voicectl.engine.probing import Probe, Prober
from voicectl.engine.routes import Route


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


class Bench:
    """A prober of one route whose probes go as told."""

    def __init__(self, *outcomes: EngineError | None) -> None:
        self.clock = Clock()
        self.breaker = Breaker(BreakerPolicy(failures=1, open_s=1.0))
        self.ready = True
        self.num_sent = 0
        self._outcomes = list(outcomes)
        route = Route("llm", None, lambda: self.ready, self.breaker)
        self.probe = Probe(route, self._send)
        self.prober = Prober([self.probe], self.clock)

    def fail(self) -> None:
        permit = self.breaker.ask(self.clock.time)
        assert permit is not None
        self.breaker.failed(permit, self.clock.time)

    async def _send(self) -> None:
        self.num_sent += 1
        outcome = self._outcomes.pop(0)
        if outcome is not None:
            raise outcome


async def test_probe_that_is_answered_closes_the_breaker() -> None:
    bench = Bench(None)
    bench.fail()
    bench.clock.time = 1.0
    await bench.prober._probe(bench.probe)
    assert bench.breaker.state(1.0) == "closed"


async def test_probe_that_fails_keeps_it_open_for_longer() -> None:
    bench = Bench(EngineError("still broken"))
    bench.fail()
    bench.clock.time = 1.0
    await bench.prober._probe(bench.probe)
    assert bench.breaker.state(2.5) == "open"
    assert bench.breaker.state(3.0) == "half_open"


async def test_callers_request_in_flight_is_probe_enough() -> None:
    bench = Bench(None)
    bench.fail()
    bench.clock.time = 1.0
    assert bench.breaker.ask(1.0) is not None
    await bench.prober._probe(bench.probe)
    assert bench.num_sent == 0


async def test_cancelled_probe_leaves_the_next_one_free() -> None:
    bench = Bench()
    bench.fail()
    bench.clock.time = 1.0

    async def hang() -> None:
        await asyncio.Event().wait()

    task = asyncio.ensure_future(bench.prober._probe(Probe(bench.probe.route, hang)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.breaker.would_allow(1.0)
