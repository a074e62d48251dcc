"""Requests on routes whose workers die, fail and come back, with ports that do as they are told."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import numpy as np
import pytest

from voicectl.core.audio import Samples
from voicectl.core.errors import DeadlineExceeded, EngineError, RequestRejected, WorkerDied
from voicectl.core.ports import ChatRequest, LanguageModel, Priority, TextDelta, Transcriber, Transcript
from voicectl.engine.breaker import Breaker, BreakerOpen, BreakerPolicy
from voicectl.engine.resilient import ResilientLanguageModel, ResilientTranscriber
from voicectl.engine.resuming import ReplyDiverged
from voicectl.engine.routes import Route, StageRoutes
from voicectl.engine.stageload import LoadGauge

SILENCE = np.zeros(16, np.float32)
DEATH = WorkerDied("worker was ended by signal SIGKILL")
Outcome = str | EngineError


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


@dataclass(slots=True)
class ScriptedStage:
    """A transcriber and language model whose requests go as told, one after the other; the last one for ever."""

    script: list[Outcome | list[Outcome]]
    ready: bool = True
    clock: Clock = field(default_factory=Clock)
    seconds: float = 0.0
    timeouts: list[float] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)

    async def transcribe(
        self,
        samples: Samples,
        *,
        hotwords: str | None = None,
        priority: Priority = Priority.FINAL,
        second_look: bool = True,
        timeout_s: float,
    ) -> Transcript:
        outcome = self._next(timeout_s)
        assert isinstance(outcome, str | EngineError)
        if isinstance(outcome, EngineError):
            raise outcome
        return Transcript(outcome, 0, 0, 1, 1000)

    async def generate(self, request: ChatRequest, *, timeout_s: float) -> AsyncGenerator[TextDelta, None]:
        outcomes = self._next(timeout_s)
        for outcome in outcomes if isinstance(outcomes, list) else [outcomes]:
            if isinstance(outcome, EngineError):
                raise outcome
            yield TextDelta(outcome)
        yield TextDelta("", "stop")

    async def forget(self, session_id: str) -> None:
        self.forgotten.append(session_id)

    async def wake(self, request: ChatRequest) -> None:
        raise EngineError("asleep")

    def _next(self, timeout_s: float) -> Outcome | list[Outcome]:
        self.timeouts.append(timeout_s)
        self.clock.time += self.seconds
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


def routes_of(*stages: ScriptedStage, clock: Clock | None = None, attempts: int = 3) -> StageRoutes[ScriptedStage]:
    clock = clock or Clock()
    for stage in stages:
        stage.clock = clock
    ways = [
        Route(f"w{number}", stage, lambda stage=stage: stage.ready, Breaker(BreakerPolicy(failures=3, open_s=1.0)))  # type: ignore[misc]
        for number, stage in enumerate(stages)
    ]
    return StageRoutes("stt", ways, LoadGauge(10.0, clock), clock, attempts=attempts)


def states(routes: StageRoutes[ScriptedStage], now: float = 0.0) -> list[str]:
    return [route.breaker.state(now) for route in routes.routes]


async def hear(routes: StageRoutes[ScriptedStage], priority: Priority = Priority.FINAL, timeout_s: float = 5.0) -> str:
    transcriber: Transcriber = ResilientTranscriber(routes)  # type: ignore[arg-type]
    return (await transcriber.transcribe(SILENCE, priority=priority, timeout_s=timeout_s)).text


def model(routes: StageRoutes[ScriptedStage]) -> LanguageModel:
    return ResilientLanguageModel(routes)  # type: ignore[arg-type]


async def answer(routes: StageRoutes[ScriptedStage], timeout_s: float = 5.0) -> str:
    request = ChatRequest("s", (), max_tokens=5, temperature=0, top_p=1, top_k=1, seed=0)
    return "".join([delta.text async for delta in model(routes).generate(request, timeout_s=timeout_s)])


async def test_request_is_tried_again_when_its_worker_dies() -> None:
    stage = ScriptedStage([DEATH, DEATH, "hello"])
    routes = routes_of(stage)
    assert await hear(routes) == "hello"
    assert routes.routes[0].breaker.snapshot(0).failures == 0


async def test_attempts_are_bounded_and_their_end_is_one_failure() -> None:
    stage = ScriptedStage([DEATH])
    routes = routes_of(stage)
    with pytest.raises(WorkerDied):
        await hear(routes)
    assert len(stage.timeouts) == 3
    assert routes.routes[0].breaker.snapshot(0).failures == 1


async def test_later_attempts_get_the_time_that_is_left() -> None:
    stage = ScriptedStage([DEATH, DEATH, "late"], seconds=2.0)
    with pytest.raises(WorkerDied):
        await hear(routes_of(stage), timeout_s=3.0)
    assert stage.timeouts == [3.0, 1.0]


@pytest.mark.parametrize("error", [RequestRejected("full"), DeadlineExceeded("late"), EngineError("broken")])
async def test_other_failures_are_not_tried_again_on_the_same_worker(error: EngineError) -> None:
    stage = ScriptedStage([error, "hello"])
    with pytest.raises(type(error)):
        await hear(routes_of(stage))
    assert len(stage.timeouts) == 1


async def test_rejections_and_partials_open_no_breaker() -> None:
    routes = routes_of(ScriptedStage([RequestRejected("full")]))
    for _ in range(5):
        with pytest.raises(RequestRejected):
            await hear(routes)
    routes = routes_of(ScriptedStage([DeadlineExceeded("late")]))
    for _ in range(5):
        with pytest.raises(DeadlineExceeded):
            await hear(routes, Priority.PARTIAL)
    assert states(routes) == ["closed"]


async def test_replies_that_no_caller_waits_for_are_no_load_and_open_no_breaker() -> None:
    routes = routes_of(ScriptedStage([["a"], DeadlineExceeded("late")]))
    request = ChatRequest("s", (), 5, temperature=0, top_p=1, top_k=1, seed=0, priority=Priority.PARTIAL)
    assert [delta.text async for delta in model(routes).generate(request, timeout_s=5)] == ["a", ""]
    for _ in range(5):
        with pytest.raises(DeadlineExceeded):
            _ = [delta async for delta in model(routes).generate(request, timeout_s=5)]
    assert (routes.gauge.load().num_recent, states(routes)) == (0, ["closed"])


async def test_failures_open_the_breaker_and_partials_are_no_probes() -> None:
    clock = Clock()
    routes = routes_of(ScriptedStage([EngineError("broken")] * 3 + ["hello"]), clock=clock)
    for _ in range(3):
        with pytest.raises(EngineError, match="broken"):
            await hear(routes)
    with pytest.raises(BreakerOpen, match=r"tried again in 1\.0 s"):
        await hear(routes)
    clock.time = 1.5
    with pytest.raises(BreakerOpen):
        await hear(routes, Priority.PARTIAL)
    assert await hear(routes) == "hello"
    assert states(routes) == ["closed"]


async def test_nobody_waits_for_a_worker_that_failed_before_and_is_away() -> None:
    clock, stage = Clock(), ScriptedStage([EngineError("broken")])
    routes = routes_of(stage, clock=clock)
    for _ in range(3):
        with pytest.raises(EngineError):
            await hear(routes)
    stage.ready = False
    clock.time = 2.0
    with pytest.raises(BreakerOpen):
        await hear(routes)


async def test_fallback_serves_while_the_usual_worker_is_away_or_fails() -> None:
    usual, other = ScriptedStage(["usual"]), ScriptedStage(["other"])
    routes = routes_of(usual, other)
    assert await hear(routes) == "usual"
    usual.ready = False
    assert await hear(routes) == "other"
    other.ready = False
    # Both are away: the usual one is waited for.
    assert await hear(routes) == "usual"
    usual.ready = other.ready = True
    routes.prefer_fallback = True
    assert await hear(routes) == "other"


async def test_failure_of_the_usual_worker_is_made_good_by_the_fallback() -> None:
    usual, other = ScriptedStage([EngineError("broken")]), ScriptedStage(["other"])
    routes = routes_of(usual, other)
    assert [await hear(routes) for _ in range(5)] == ["other"] * 5
    assert states(routes) == ["open", "closed"]
    assert len(usual.timeouts) == 3


async def test_reply_goes_on_after_a_death() -> None:
    stage = ScriptedStage([["I am ", "a vo", DEATH], ["I ", "am a voice."]])
    assert await answer(routes_of(stage)) == "I am a voice."


async def test_reply_goes_on_only_with_the_same_model() -> None:
    usual, other = ScriptedStage([["I am ", DEATH], ["I am a voice."]]), ScriptedStage([["Hello."]])
    routes = routes_of(usual, other)
    assert await answer(routes) == "I am a voice."
    assert other.timeouts == []


async def test_reply_that_diverges_is_told_and_does_not_count_against_the_stage() -> None:
    routes = routes_of(ScriptedStage([["I am ", DEATH], ["You are"]]))
    with pytest.raises(ReplyDiverged):
        await answer(routes)
    assert routes.routes[0].breaker.snapshot(0).failures == 0


async def test_reply_that_fails_midway_without_a_death_is_not_repeated() -> None:
    usual, other = ScriptedStage([["I am ", EngineError("broken")]]), ScriptedStage([["Hello."]])
    with pytest.raises(EngineError, match="broken"):
        await answer(routes_of(usual, other))


async def test_caller_who_leaves_an_answer_shows_that_the_stage_works() -> None:
    clock, stage = Clock(), ScriptedStage([EngineError("broken")] * 3 + [["a", "b"]])
    routes = routes_of(stage, clock=clock)
    for _ in range(3):
        with pytest.raises(EngineError):
            await answer(routes)
    clock.time = 1.5
    request = ChatRequest("s", (), max_tokens=5, temperature=0, top_p=1, top_k=1, seed=0)
    pieces = model(routes).generate(request, timeout_s=5)
    assert (await anext(pieces)).text == "a"
    await pieces.aclose()
    assert states(routes, 1.5) == ["closed"]
    assert routes.gauge.load().open_requests == 0


async def test_forget_reaches_every_worker_and_wake_never_raises() -> None:
    usual, other = ScriptedStage([["x"]]), ScriptedStage([["x"]])
    routes = routes_of(usual, other)
    await model(routes).forget("s")
    await model(routes).wake(ChatRequest("s", (), max_tokens=5, temperature=0, top_p=1, top_k=1, seed=0))
    assert (usual.forgotten, other.forgotten) == (["s"], ["s"])


async def test_load_counts_waits_and_first_results() -> None:
    clock = Clock()
    gauge = LoadGauge(10.0, clock)
    assert gauge.load().p90_s is None
    for seconds in range(1, 11):
        with gauge.request() as request:
            clock.time += seconds / 10
            request.answer()
            request.answer()
    load = gauge.load()
    assert (load.num_recent, load.p50_s, load.p90_s) == (10, pytest.approx(0.5), pytest.approx(0.9))
    with gauge.request() as waiting:
        clock.time += 3
        assert gauge.load().oldest_wait_s == 3
        waiting.answer()
        clock.time += 3
        assert (gauge.load().oldest_wait_s, gauge.load().open_requests) == (0, 1)
    clock.time += 60
    assert gauge.load().num_recent == 0


async def test_cancelled_request_says_nothing_about_the_stage() -> None:
    class Endless(ScriptedStage):
        async def transcribe(self, *_: object, **__: object) -> Transcript:  # type: ignore[override]
            await asyncio.Event().wait()
            raise AssertionError

    routes = routes_of(Endless(["never"]))
    task = asyncio.ensure_future(hear(routes))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert routes.gauge.load().open_requests == 0
    assert routes.routes[0].breaker.snapshot(0).failures == 0
