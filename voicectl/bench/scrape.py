"""Read a gateway's own metrics: values by name, and quantiles of histograms. Knows no address."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from voicectl.core.errors import VoicectlError


class MetricsUnreadable(VoicectlError):
    """What the gateway answered at /metrics is no Prometheus text."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series."""

    name: str
    labels: Mapping[str, str]
    value: float


def samples_of(text: str) -> list[Sample]:
    """Return every sample of a page of metrics. Raises MetricsUnreadable."""
    try:
        families = list(text_string_to_metric_families(text))
    except ValueError as error:
        raise MetricsUnreadable(f"/metrics: {error}") from error
    return [Sample(one.name, dict(one.labels), float(one.value)) for family in families for one in family.samples]


def total(samples: Iterable[Sample], name: str) -> float | None:
    """Return the sum of a metric over its labels; None when it is not told."""
    values = [sample.value for sample in samples if sample.name == name]
    return sum(values) if values else None


def quantile(samples: Iterable[Sample], name: str, share: float) -> float | None:
    """Return a quantile of a histogram, interpolated inside its bucket; None when nothing was observed.

    Beyond the last finite edge that edge is returned: what lies there is not known more closely.
    """
    edges: dict[float, float] = {}
    for sample in samples:
        if sample.name == f"{name}_bucket":
            edge = float(sample.labels["le"])
            edges[edge] = edges.get(edge, 0.0) + sample.value
    if not edges or not max(edges.values()):
        return None
    wanted = share * max(edges.values())
    below, counted = 0.0, 0.0
    for edge, count in sorted(edges.items()):
        if count >= wanted:
            if edge == float("inf"):
                return below
            inside = count - counted
            return below + (edge - below) * ((wanted - counted) / inside if inside else 1.0)
        below, counted = edge, count
    return below
