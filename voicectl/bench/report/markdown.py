"""A judged run as Markdown, for a pull request or a wiki. Pure."""

from collections.abc import Iterator, Sequence

from voicectl.bench.report.tables import conditions, header, latency_rows, slo_rows, stage_rows
from voicectl.bench.report.wording import load_text
from voicectl.bench.run_record import RunRecord
from voicectl.bench.summary import RunSummary


def markdown_text(record: RunRecord, summary: RunSummary) -> str:
    """Return the text."""
    return "\n".join(_lines(record, summary)) + "\n"


def _lines(record: RunRecord, summary: RunSummary) -> Iterator[str]:
    yield f"## {summary.verdict}: {_cell(load_text(record.plan))}"
    if summary.verdict == "INVALID":
        yield ""
        yield "**This run is no measurement.** What follows helps to find out why, and stands for nothing."
        yield ""
        yield from (f"- {_cell(reason)}" for reason in summary.reasons)
    if summary.slos:
        yield from _table(
            ("threshold", "outcome", "because"), [(slo.text, slo.word, slo.reason) for slo in slo_rows(summary)]
        )
    latencies = [
        (row.metric, row.name, row.value, row.interval, row.num, row.effective) for row in latency_rows(summary)
    ]
    if latencies:
        yield from _table(("latency", "", "ms", "95 % interval", "n", "n effective"), latencies)
    stages = [
        (row.metric, row.p50, row.p50_interval, row.p95, row.p95_interval, row.worst, row.num)
        for row in stage_rows(summary)
    ]
    if stages:
        yield from _table(("stage", "P50, ms", "interval", "P95, ms", "interval", "worst, ms", "n"), stages)
    yield from _table(("conditions", ""), [*conditions(record, summary), *header(record)])


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield ""
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    """Return a text that stays one cell, and is nothing but text."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("\\", "\\\\").replace("|", "\\|")
    return " ".join(escaped.replace("`", "\\`").replace("*", "\\*").split())
