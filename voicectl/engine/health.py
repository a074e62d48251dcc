"""How the engine is, for readiness and metrics: its workers, its stages, their breakers and their load."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from voicectl.core.sections.hardware import Stage
from voicectl.engine.breaker import BreakerSnapshot
from voicectl.engine.stageload import StageLoad
from voicectl.engine.supervisor import WorkerState

StageStatus = Literal["ready", "fallback", "restarting", "down"]


@dataclass(frozen=True, slots=True)
class RouteHealth:
    """One way to a stage: its worker, whether it takes requests now, and its breaker."""

    worker: str
    ready: bool
    breaker: BreakerSnapshot


@dataclass(frozen=True, slots=True)
class StageHealth:
    """How a stage is. Requests of a "restarting" stage wait, those of one that is "down" fail at once."""

    stage: Stage
    status: StageStatus
    routes: tuple[RouteHealth, ...]
    load: StageLoad


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """How all stages and workers are."""

    stages: Mapping[Stage, StageHealth]
    workers: Mapping[str, WorkerState]

    @property
    def ready(self) -> bool:
        """Whether every stage answers now, some perhaps by a fallback."""
        return all(stage.status in ("ready", "fallback") for stage in self.stages.values())

    @property
    def serving(self) -> bool:
        """Whether new calls make sense: every stage answers now or, once it has restarted, in a moment."""
        return all(stage.status != "down" for stage in self.stages.values())


def stage_status(routes: tuple[RouteHealth, ...], workers: Mapping[str, WorkerState]) -> StageStatus:
    """Return how a stage is whose usual route is the first."""
    usual, *others = routes
    if usual.ready and usual.breaker.state == "closed":
        return "ready"
    if any(other.ready and other.breaker.state == "closed" for other in others):
        return "fallback"
    worker = workers.get(usual.worker)
    comes_back = usual.ready or (worker is not None and worker.state in ("starting", "restarting"))
    return "restarting" if usual.breaker.state == "closed" and comes_back else "down"
