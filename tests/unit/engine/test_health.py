import pytest

from voicectl.engine.breaker import BreakerSnapshot, BreakerState
from voicectl.engine.health import EngineHealth, RouteHealth, StageHealth, StageStatus, stage_status
from voicectl.engine.stageload import StageLoad
from voicectl.engine.supervisor import State, WorkerState


def route(worker: str, *, ready: bool = True, breaker: BreakerState = "closed") -> RouteHealth:
    return RouteHealth(worker, ready, BreakerSnapshot(breaker, 0, 0, None))


def worker(state: State) -> dict[str, WorkerState]:
    return {"usual": WorkerState("usual", ("llm",), state, 1, 0, 0)}


@pytest.mark.parametrize(
    ("routes", "state", "status"),
    [
        ((route("usual"),), "ready", "ready"),
        ((route("usual", breaker="open"),), "ready", "down"),
        ((route("usual", breaker="half_open"),), "ready", "down"),
        ((route("usual", ready=False),), "restarting", "restarting"),
        ((route("usual", ready=False),), "starting", "restarting"),
        ((route("usual", ready=False),), "failed", "down"),
        ((route("usual", ready=False), route("other")), "failed", "fallback"),
        ((route("usual", breaker="open"), route("other")), "ready", "fallback"),
        ((route("usual", ready=False), route("other", breaker="open")), "restarting", "restarting"),
        ((route("usual", ready=False), route("other", ready=False)), "failed", "down"),
    ],
)
def test_status_of_a_stage(routes: tuple[RouteHealth, ...], state: State, status: StageStatus) -> None:
    assert stage_status(routes, worker(state)) == status


@pytest.mark.parametrize(
    ("status", "ready", "serving"),
    [("ready", True, True), ("fallback", True, True), ("restarting", False, True), ("down", False, False)],
)
def test_engine_is_as_ready_as_its_worst_stage(status: StageStatus, ready: bool, serving: bool) -> None:
    good = StageHealth("stt", "ready", (route("a"),), StageLoad())
    health = EngineHealth({"stt": good, "llm": StageHealth("llm", status, (route("b"),), StageLoad())}, {})
    assert (health.ready, health.serving) == (ready, serving)
