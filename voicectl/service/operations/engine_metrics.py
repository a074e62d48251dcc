"""The engine's health as metric families: workers, stages, breakers, and what the workers measured."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from voicectl.engine.breaker import BreakerState
from voicectl.engine.health import EngineHealth, StageHealth, StageStatus
from voicectl.engine.supervisor import State, WorkerState

WORKER_LABEL: Final = "worker"
BREAKER_STATES: Final[tuple[str, ...]] = get_args(BreakerState)
STAGE_STATES: Final[tuple[str, ...]] = get_args(StageStatus)
WORKER_STATES: Final[tuple[str, ...]] = get_args(State)


class EngineCollector:
    """A Prometheus collector over `health`, which is asked at each scrape."""

    def __init__(self, health: Callable[[], EngineHealth]) -> None:
        self._health = health

    def collect(self) -> Iterator[Metric]:
        """Yield what there is now."""
        health = self._health()
        yield from _workers(health.workers)
        yield from _stages(health.stages.values())
        yield from reported(health.workers)


def reported(workers: Mapping[str, WorkerState]) -> Iterable[Metric]:
    """Return what the workers measured, one family a name, with the worker's name as a label.

    Of families that disagree about their kind, the first counts.
    """
    families: dict[str, Metric] = {}
    for name, worker in workers.items():
        for family in worker.metrics:
            metric = families.setdefault(family.name, Metric(family.name, family.documentation, family.kind))
            if metric.type != family.kind:
                continue
            for sample in family.samples:
                metric.add_sample(sample.name, {**sample.labels, WORKER_LABEL: name}, sample.value)
    return families.values()


def _workers(workers: Mapping[str, WorkerState]) -> Iterator[Metric]:
    labels = (WORKER_LABEL,)
    up = GaugeMetricFamily("voicectl_worker_up", "Whether the worker takes requests.", labels=labels)
    state = GaugeMetricFamily("voicectl_worker_state", "1 for the worker's state.", labels=(*labels, "state"))
    restarts = CounterMetricFamily("voicectl_worker_restarts", "Starts of the worker after its first.", labels=labels)
    queued = GaugeMetricFamily("voicectl_worker_queued", "Requests that wait or run.", labels=labels)
    spare = GaugeMetricFamily("voicectl_worker_spare", "Whether a spare process waits, where one is to.", labels=labels)
    for name, worker in workers.items():
        up.add_metric((name,), worker.state == "ready")
        restarts.add_metric((name,), worker.restarts)
        queued.add_metric((name,), worker.queued)
        if worker.spare is not None:
            spare.add_metric((name,), worker.spare)
        add_state(state, (name,), worker.state, WORKER_STATES)
    return iter((up, state, restarts, queued, spare))


def _stages(stages: Iterable[StageHealth]) -> Iterator[Metric]:
    route = ("stage", WORKER_LABEL)
    status = GaugeMetricFamily("voicectl_stage_status", "1 for the stage's status.", labels=("stage", "status"))
    breaker = GaugeMetricFamily("voicectl_breaker_state", "1 for the breaker's state.", labels=(*route, "state"))
    opened = CounterMetricFamily("voicectl_breaker_opened", "How often the breaker opened.", labels=route)
    failures = GaugeMetricFamily("voicectl_breaker_failures", "Failures in a row.", labels=route)
    load = GaugeMetricFamily(
        "voicectl_stage_p90_seconds", "90th percentile of the stage's recent first results.", labels=("stage",)
    )
    waiting = GaugeMetricFamily("voicectl_stage_open_requests", "Requests that calls wait for.", labels=("stage",))
    oldest = GaugeMetricFamily(
        "voicectl_stage_oldest_wait_seconds", "How long the oldest of them has waited.", labels=("stage",)
    )
    for stage in stages:
        add_state(status, (stage.stage,), stage.status, STAGE_STATES)
        waiting.add_metric((stage.stage,), stage.load.open_requests)
        oldest.add_metric((stage.stage,), stage.load.oldest_wait_s)
        if stage.load.p90_s is not None:
            load.add_metric((stage.stage,), stage.load.p90_s)
        for way in stage.routes:
            labels = (stage.stage, way.worker)
            add_state(breaker, labels, way.breaker.state, BREAKER_STATES)
            opened.add_metric(labels, way.breaker.num_opened)
            failures.add_metric(labels, way.breaker.failures)
    return iter((status, breaker, opened, failures, load, waiting, oldest))


def add_state(family: GaugeMetricFamily, labels: tuple[str, ...], state: str, states: Iterable[str]) -> None:
    """Add a state as one value a possible state: 1 for the present one, 0 for the others."""
    for possible in states:
        family.add_metric((*labels, possible), possible == state)
