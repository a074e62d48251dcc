"""`voicectl bench compare`: whether a run is slower than another, with an interval, and the exit code for it."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import typer

from voicectl.bench.report.document import EXIT_BREACHED, EXIT_INVALID
from voicectl.bench.report.files import read_record
from voicectl.bench.report.wording import metric_name, milliseconds, percentile_name, target_text
from voicectl.bench.statistics.compare import Comparison, Ratio, compare
from voicectl.cli.output import Output

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.bench.run_record import Environment, RunRecord

_COMPARED: Final = ("machine", "processor", "cores", "voicectl")


def compare_records(
    before: Path, after: Path, tolerance: float, output: Output, *, metric: str, warm_up_s: float | None
) -> None:
    """Compare two kept records, print, exit."""
    first, second = read_record(before), read_record(after)
    found = compare(first, second, metric=metric, tolerance=tolerance, warm_up=warm_up_s)
    for difference in differences(first.environment, second.environment):
        output.note(f"the runs differ beside the load: {difference}")
    output.result(
        comparison_document(found, before, after, tolerance), lambda console: print_comparison(console, found, first)
    )
    code = comparison_exit_code(found)
    if code:
        raise typer.Exit(code)


def comparison_exit_code(found: Comparison) -> int:
    """Return 99 when B is slower, 30 when the runs do not compare, else 0."""
    if found.outcome == "not comparable":
        return EXIT_INVALID
    return EXIT_BREACHED if found.regressed else 0


def comparison_document(found: Comparison, before: Path, after: Path, tolerance: float) -> dict[str, Any]:
    """Return the comparison as one document; latencies in seconds."""
    return {
        "before": str(before),
        "after": str(after),
        "tolerance": tolerance,
        "regression": found.regressed,
        **asdict(found),
        "exit_code": comparison_exit_code(found),
    }


def differences(before: "Environment", after: "Environment") -> list[str]:
    """Return what else than the code could make a difference: machines, servers, their models."""
    told = [
        f"{name} {getattr(before, name)} and {getattr(after, name)}"
        for name in _COMPARED
        if getattr(before, name) != getattr(after, name)
    ]
    if (before.private, None if before.private else before.target) != (
        after.private,
        None if after.private else after.target,
    ):
        told.append(f"target {target_text(before)} and {target_text(after)}")
    for key in sorted(before.server.keys() | after.server.keys()):
        if before.server.get(key) != after.server.get(key):
            told.append(f"server {key} {before.server.get(key, 'unknown')} and {after.server.get(key, 'unknown')}")
    return told


def print_comparison(console: "Console", found: Comparison, before: "RunRecord") -> None:
    """Print the outcome first, then what it rests on."""
    from rich.table import Table
    from rich.text import Text

    styles = {"slower": "bold red", "faster": "bold green", "not comparable": "bold red"}
    console.print(Text(found.outcome, style=styles.get(found.outcome, "bold")), Text(f" {found.reason}"), sep="")
    if not found.ratios:
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(f"{metric_name(found.metric)}, ms", no_wrap=True)
    for title in ("A", "B", "B / A"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("95 % interval", overflow="fold")
    for ratio in found.ratios:
        table.add_row(
            percentile_name(ratio.share),
            milliseconds(ratio.before_s),
            milliseconds(ratio.after_s),
            "–" if ratio.ratio is None else f"{ratio.ratio:.3f}",
            _interval(ratio),
        )
    console.print()
    console.print(table)
    console.print()
    for line in effect_lines(found):
        console.print(line, markup=False)


def effect_lines(found: Comparison) -> list[str]:
    """Return how the runs were compared, and how far they lie apart as a whole."""
    how = "turn by turn, the same conversations" if found.paired else "as two samples"
    lines = [f"compared {how}; n = {found.num_before} and {found.num_after}"]
    shift = found.shift
    if shift is None:
        return lines
    lines.append(
        f"a turn of B is slower with probability {shift.superiority:.2f}"
        f" (Cliff's delta {shift.cliffs_delta:+.2f}, p = {shift.p_value:.2g})"
    )
    if shift.shift_s is not None:
        low, high = (None if bound is None else f"{1000 * bound:+.0f}" for bound in (shift.low_s, shift.high_s))
        lines.append(f"median difference {1000 * shift.shift_s:+.0f} ms [{low or '-∞'} – {high or '∞'}]")
    return lines


def _interval(ratio: Ratio) -> str:
    if ratio.ratio is None:
        return ratio.reason or "–"
    return f"{ratio.low or 0:.3f} – {'∞' if ratio.high is None else f'{ratio.high:.3f}'}"
