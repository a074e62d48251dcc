"""The rows that every report of a run shows, in words: the terminal, Markdown and the page. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from voicectl.bench.report import wording
from voicectl.bench.run_record import RunRecord
from voicectl.bench.summary import Distribution, RunSummary


@dataclass(frozen=True, slots=True)
class LatencyRow:
    """One percentile of one metric. `metric`, `num` and `effective` are told in the first row of a metric only."""

    metric: str
    name: str
    value: str
    interval: str
    num: str
    effective: str


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage: its median and P95 with their intervals, and its worst."""

    metric: str
    p50: str
    p50_interval: str
    p95: str
    p95_interval: str
    worst: str
    num: str


@dataclass(frozen=True, slots=True)
class SloRow:
    """One threshold: "met", "BREACHED" or "unknown", and why."""

    text: str
    word: str
    reason: str


def header(record: RunRecord) -> list[tuple[str, str]]:
    """Return what was measured, from where, and when."""
    environment = record.environment
    rows = [
        ("target", wording.target_text(environment)),
        ("machine", wording.machine_text(environment)),
        ("voicectl", environment.voicectl),
        ("begun", f"{wording.instant(record.begun_at)}, took {wording.duration(record.wall_s)}"),
        ("workload", f"{record.plan.workload} ({record.plan.workload_digest[:23]})"),
    ]
    return [*rows, *sorted((f"server {key}", words) for key, words in environment.server.items())]


def slo_rows(summary: RunSummary) -> list[SloRow]:
    """Return the thresholds; none is judged by a run that is INVALID."""
    invalid = summary.verdict == "INVALID"
    return [
        SloRow(slo.text, wording.slo_word(slo, summary), "the run is INVALID" if invalid else slo.reason)
        for slo in summary.slos
    ]


def latency_rows(summary: RunSummary) -> list[LatencyRow]:
    """Return the percentiles of the metrics that are told in full."""
    return [row for found in wording.headlines(summary) for row in _latency_rows(found)]


def _latency_rows(found: Distribution) -> Iterator[LatencyRow]:
    num = f"{found.num} ({found.num_censored} open)" if found.num_censored else str(found.num)
    first = (wording.metric_name(found.metric), num, wording.effective(found))
    for one in found.percentiles:
        metric, shown_num, shown_effective = first
        yield LatencyRow(
            metric,
            wording.percentile_name(one.share),
            wording.percentile_value(one),
            wording.interval(one),
            shown_num,
            shown_effective,
        )
        first = ("", "", "")
    if not found.num_censored and found.worst is not None:
        yield LatencyRow("", "worst", wording.milliseconds(found.worst), "", "", "")


def stage_rows(summary: RunSummary) -> list[StageRow]:
    """Return the stages."""
    rows = []
    for found in wording.stages(summary):
        p50, p95 = (_stage_percentile(found, share) for share in (0.5, 0.95))
        name, worst = wording.metric_name(found.metric), wording.milliseconds(found.worst)
        rows.append(StageRow(name, *p50, *p95, worst, str(found.num)))
    return rows


def _stage_percentile(found: Distribution, share: float) -> tuple[str, str]:
    """Return value and interval; why there is none would be the same in every row."""
    one = wording.percentile_of(found, share)
    if one is None or one.value is None:
        return wording.NONE, wording.NONE
    return wording.percentile_value(one), wording.interval(one)


def conditions(record: RunRecord, summary: RunSummary) -> list[tuple[str, str]]:
    """Return rates, the load that came about, warm-up and the generator's health."""
    rows = [("calls", wording.calls_text(record)), ("load", wording.rates_text(summary))]
    rows += [(found.name.replace("_", "-"), wording.proportion(found)) for found in summary.proportions if found.of]
    if summary.wer is not None:
        rows.append(("word error rate", wording.percent(summary.wer)))
    rows += [("warm-up", wording.warm_up_text(summary)), ("generator", wording.generator_text(summary, record))]
    return rows
