"""Turn what a worker measured into the values that it sends to the gateway."""

from typing import Final, Literal

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.metrics_core import Metric

from voicectl.engine.messages import MetricFamily, Sample

Kind = Literal["counter", "gauge", "histogram"]

MAX_FAMILIES: Final = 200
MAX_SAMPLES: Final = 500
"""Bounds of what a worker reports a second: a label with free text in it must not fill the channel."""

_KINDS: Final[dict[str, Kind]] = {"counter": "counter", "gauge": "gauge", "histogram": "histogram"}
_CREATED: Final = "_created"


def worker_registry() -> CollectorRegistry:
    """Return a registry that already knows the memory, processor time and open files of this process."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(namespace="voicectl_worker", registry=registry)
    return registry


def snapshot(registry: CollectorRegistry) -> tuple[MetricFamily, ...]:
    """Return the present values of all counters, gauges and histograms."""
    families = (_family(metric) for metric in registry.collect() if metric.type in _KINDS)
    return tuple(families)[:MAX_FAMILIES]


def _family(metric: Metric) -> MetricFamily:
    samples = [
        Sample(sample.name, dict(sample.labels), float(sample.value))
        for sample in metric.samples
        if not sample.name.endswith(_CREATED)
    ]
    return MetricFamily(metric.name, metric.documentation, _KINDS[metric.type], tuple(samples[:MAX_SAMPLES]))
