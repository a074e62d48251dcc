"""How `voicectl bench` prints a judged run: the verdict first, then figures with their intervals; 80 columns."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from voicectl.bench.report.tables import conditions, header, latency_rows, slo_rows, stage_rows
from voicectl.bench.report.wording import load_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from voicectl.bench.run_record import RunRecord
    from voicectl.bench.summary import RunSummary

_STYLES: Final = {
    "VALID": "bold green",
    "INVALID": "bold red",
    "met": "green",
    "BREACHED": "bold red",
    "unknown": "red",
    "missed": "red",
    "invalid": "yellow",
}


def print_run(
    console: "Console", record: "RunRecord", summary: "RunSummary", files: Mapping[str, str | None] | None = None
) -> None:
    """Print everything. Figures of an INVALID run come last and are called what they are."""
    from rich.text import Text

    console.print(Text.assemble((summary.verdict, _STYLES[summary.verdict]), f"  {load_text(record.plan)}"))
    if summary.verdict == "INVALID":
        for reason in summary.reasons:
            console.print(_text(f"  {reason}", "red"))
    if summary.slos:
        console.print()
        console.print(_slos(summary))
    if summary.verdict == "INVALID":
        console.print()
        console.print("no measurement; what was seen, to find out why:", style="dim", markup=False)
    if any(row.num != "0" for row in latency_rows(summary)):
        console.print()
        console.print(_latencies(summary))
    if stage_rows(summary):
        console.print()
        console.print(_stages(summary))
    console.print()
    named = [(kind, name) for kind, name in (files or {}).items() if name is not None]
    console.print(_pairs([*conditions(record, summary), *header(record), *named]))


def print_search(console: "Console", answer: list[str], rows: list[tuple[str, str, str]]) -> None:
    """Print the answer of a search, then what each run said."""
    first, *others = answer
    console.print(_text(first, "bold"))
    for line in others:
        console.print(_text(line))
    table = _table()
    table.add_column("load", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("because", overflow="fold")
    for load, outcome, reason in rows:
        table.add_row(_text(load), _text(outcome, _STYLES[outcome]), _text(reason))
    console.print()
    console.print(table)


def print_workloads(console: "Console", rows: "list[tuple[str, str]]") -> None:
    """Print names and what they are."""
    console.print(_pairs(rows))


def _slos(summary: "RunSummary") -> "Table":
    table = _table()
    table.add_column("threshold", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    table.add_column("because", overflow="fold")
    for slo in slo_rows(summary):
        table.add_row(_text(slo.text), _text(slo.word, _STYLES[slo.word]), _text(slo.reason))
    return table


def _latencies(summary: "RunSummary") -> "Table":
    table = _table()
    table.add_column("latency, ms", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("95 % interval", overflow="fold")
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("n eff.", justify="right", no_wrap=True)
    bold = "dim" if summary.verdict == "INVALID" else "bold"
    for row in latency_rows(summary):
        table.add_row(row.metric, row.name, _text(row.value, bold), _text(row.interval), row.num, row.effective)
    return table


def _stages(summary: "RunSummary") -> "Table":
    table = _table()
    table.add_column("stage, ms", no_wrap=True)
    for title in ("P50", "95 % interval", "P95", "95 % interval", "worst", "n"):
        table.add_column(title, justify="left" if "interval" in title else "right", overflow="fold")
    for row in stage_rows(summary):
        table.add_row(row.metric, row.p50, row.p50_interval, row.p95, row.p95_interval, row.worst, row.num)
    return table


def _pairs(rows: "list[tuple[str, str]]") -> "Table":
    table = _table(show_header=False)
    table.add_column("name", no_wrap=True, style="dim")
    table.add_column("words", overflow="fold")
    for name, words in rows:
        table.add_row(_text(name), _text(words))
    return table


def _table(*, show_header: bool = True) -> "Table":
    from rich.table import Table

    return Table(box=None, pad_edge=False, show_header=show_header, header_style="dim")


def _text(words: str, style: str = "") -> "Text":
    """Return words that are nothing but words: a server may say [bold]."""
    from rich.text import Text

    return Text(words, style=style)
