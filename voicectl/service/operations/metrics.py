"""The gateway's Prometheus metrics: one registry, and what stands in it beside the calls and the engine."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import prometheus_client
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import Metric

import voicectl
from voicectl.core.profile import Profile
from voicectl.engine.health import EngineHealth
from voicectl.service.operations.call_metrics import CallMetrics, Labels
from voicectl.service.operations.engine_metrics import EngineCollector

log = structlog.get_logger(__name__)

LATENESS_EDGES_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Half a millisecond to a second; 5 ms and 10 ms are the bounds of the 99th percentile, 60 ms is a client's lead."""
EXCHANGE_EDGES_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
THREADS_FOLDER: Final = Path("/proc/self/task")

Sleep = Callable[[float], Awaitable[None]]
Values = float | None | Mapping[str, float] | Mapping[tuple[str, ...], float]
"""What a reader returns: a number, None for "did not happen", or numbers by the values of the labels."""


class Readings:
    """A Prometheus collector over functions that are asked at each scrape.

    A function that fails costs its own metric and is logged.
    """

    def __init__(self) -> None:
        self._readers: list[Callable[[], Metric]] = []

    def add(
        self,
        kind: Literal["counter", "gauge"],
        name: str,
        documentation: str,
        read: Callable[[], Values],
        labels: Sequence[str] = (),
    ) -> None:
        """Add a metric; counters are named without their `_total`."""
        family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily

        def metric() -> Metric:
            made = family(name, documentation, labels=labels)
            for values, number in _by_labels(read()):
                made.add_metric(values, number)
            return made

        self._readers.append(metric)

    def collect(self) -> Iterator[Metric]:
        """Yield what there is now."""
        for reader in self._readers:
            try:
                yield reader()
            except Exception:  # the edge of a scrape: one source must not hide the others
                log.exception("metric_unreadable")

    def describe(self) -> Iterator[Metric]:
        """Yield nothing: what will be told is known at the scrape only."""
        return iter(())


class Metrics:
    """Everything that `/metrics` tells, and the observers that count it.

    `calls` is a CallObserver. `observe_lateness` and `exchange_ended` are hooks for the voice and for
    the integrations. `run` is a task of the gateway's. Use it on the event loop only.
    """

    def __init__(self, profile: Profile, *, sleep: Sleep = asyncio.sleep) -> None:
        # The instant at which a series began doubles their number and nobody asks for it.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call] # the library leaves it bare
        self._sleep = sleep
        self._probe_s = profile.telemetry.loop_probe_s
        self._registry = CollectorRegistry(auto_describe=False)
        names = [tool.name for tool in profile.integrations.tools]
        self.calls: Final = CallMetrics(self._registry, tools=names)
        self._exchange_names = Labels((*names, "context", "unknown"), max_learned=0)
        self._readings = Readings()
        self._registry.register(self._readings)
        self._lateness = Histogram(
            "voicectl_playout_lateness_seconds", "How long after its time a frame of a reply was sent.",
            buckets=LATENESS_EDGES_S, registry=self._registry,
        )  # fmt: skip
        self._lag = Histogram(
            "voicectl_event_loop_lag_seconds", "How late the event loop wakes a task.",
            buckets=LATENESS_EDGES_S, registry=self._registry,
        )  # fmt: skip
        self._exchanges = Counter(
            "voicectl_exchanges_total", "Functions and context asked over HTTP.", ["tool", "outcome"],
            registry=self._registry,
        )  # fmt: skip
        self._exchange_seconds = Histogram(
            "voicectl_exchange_seconds", "Time of functions and context over HTTP.", ["tool"],
            buckets=EXCHANGE_EDGES_S, registry=self._registry,
        )  # fmt: skip
        self._describe_build(profile)
        self._describe_process()

    @property
    def registry(self) -> CollectorRegistry:
        """The registry, for what else is to be told."""
        return self._registry

    def watch_engine(self, health: Callable[[], EngineHealth]) -> None:
        """Tell the state of the engine, and what its workers measured."""
        self._registry.register(EngineCollector(health))

    def watch_gauge(
        self, name: str, documentation: str, read: Callable[[], Values], labels: Sequence[str] = ()
    ) -> None:
        """Tell a value that rises and falls. `read` is asked at each scrape; its labels must be few."""
        self._readings.add("gauge", name, documentation, read, labels)

    def watch_counter(
        self, name: str, documentation: str, read: Callable[[], Values], labels: Sequence[str] = ()
    ) -> None:
        """Tell a value that only rises; its name is given without `_total`."""
        self._readings.add("counter", name, documentation, read, labels)

    def observe_lateness(self, seconds: float) -> None:
        """A frame of a reply was sent so long after its time."""
        self._lateness.observe(seconds)

    def exchange_ended(self, name: str, outcome: str, seconds: float) -> None:
        """Another system was asked: the function, or "context", and what came of it."""
        shown = self._exchange_names.value(name)
        self._exchanges.labels(shown, outcome).inc()
        self._exchange_seconds.labels(shown).observe(seconds)

    async def run(self) -> None:
        """Measure the lag of the event loop until cancelled."""
        while True:
            due_at = time.monotonic() + self._probe_s
            await self._sleep(self._probe_s)
            self._lag.observe(max(0.0, time.monotonic() - due_at))

    def render(self) -> tuple[bytes, str]:
        """Return the metrics of this instant and their content type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    async def page(self) -> tuple[bytes, str]:
        """Return the same, for a route."""
        return self.render()

    def _describe_build(self, profile: Profile) -> None:
        models = {f"model_{role}": name for role, name in profile.models.model_dump().items() if isinstance(name, str)}
        build = Info("voicectl_build", "What runs here.", registry=self._registry)
        build.info({"version": voicectl.__version__, "profile": profile.name, **models})

    def _describe_process(self) -> None:
        ProcessCollector(registry=self._registry)
        threads = Gauge("process_threads", "Number of threads of the process.", registry=self._registry)
        threads.set_function(lambda: sum(1 for _ in THREADS_FOLDER.iterdir()))
        self.watch_gauge("voicectl_tasks", "Tasks of the event loop.", _num_tasks)


def _num_tasks() -> float | None:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        # Rendered outside of the event loop, there is none to count.
        return None


def _by_labels(values: Values) -> Iterator[tuple[tuple[str, ...], float]]:
    if values is None:
        return
    if isinstance(values, Mapping):
        for key, number in values.items():
            yield ((key,) if isinstance(key, str) else key), number
    else:
        yield (), values
