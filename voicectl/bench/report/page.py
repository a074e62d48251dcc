"""A judged run as one HTML file that needs nothing else: no script, no network. Draws no plot itself."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from voicectl.bench.report.evidence import latency_curve, median_turn, problems, wanted_turns, waterfall, worst_turn
from voicectl.bench.report.tables import conditions, header, latency_rows, slo_rows, stage_rows
from voicectl.bench.report.wording import load_text
from voicectl.bench.run_record import RunRecord
from voicectl.bench.summary import RunSummary

MAX_PROBLEMS: Final = 200
_LATENCY_CAPTION: Final = (
    "Share of turns answered within a latency. The band is pointwise: Greenwood's interval or a bootstrap over whole"
    " calls, whichever is wider. Unanswered turns count as slower than anything seen; warm-up is left out."
)
_WATERFALL_CAPTION: Final = "Where the time of the median and of the slowest answered turn went."
_TIMELINE_CAPTION: Final = "Calls in progress, and the latency of each turn at the instant its speech was to end."


def page_bytes(record: RunRecord, summary: RunSummary, limits: Sequence[tuple[str, float, float]] = ()) -> bytes:
    """Return the page. `limits` are thresholds of v2v percentiles to draw: text, share, seconds."""
    environment = Environment(
        loader=PackageLoader("voicectl.bench.report", ""), autoescape=True, undefined=StrictUndefined
    )
    found = list(problems(record))
    page = environment.get_template("page.html.j2").render(
        verdict=summary.verdict,
        load=load_text(record.plan),
        header=header(record),
        reasons=_reasons(summary),
        slos=slo_rows(summary),
        latencies=latency_rows(summary),
        stages=stage_rows(summary),
        conditions=conditions(record, summary),
        plots=list(_plots(record, summary, limits)),
        problems=[_shown(asdict(one)) for one in found[:MAX_PROBLEMS]],
        num_more=max(0, len(found) - MAX_PROBLEMS),
    )
    return page.encode()


def _reasons(summary: RunSummary) -> list[str]:
    return list(summary.reasons or ("no reason is known",)) if summary.verdict == "INVALID" else []


def _plots(
    record: RunRecord, summary: RunSummary, limits: Sequence[tuple[str, float, float]]
) -> Iterator[dict[str, Any]]:
    # matplotlib takes longer to import than most commands to run.
    from voicectl.bench.report.figures import latency_plot, timeline_plot, waterfall_plot

    turns = wanted_turns(record, summary.warm_up.dropped_s)
    curve, median, worst = latency_curve(turns), median_turn(turns), worst_turn(turns)
    if curve is not None and worst is not None:
        yield _plot(latency_plot(curve, limits, worst.latency_s), _LATENCY_CAPTION)
    named = [(name, turn) for name, turn in (("median turn", median), ("worst turn", worst)) if turn is not None]
    explained = [(name, turn) for name, turn in named if waterfall(turn.turn)]
    if explained:
        yield _plot(waterfall_plot(explained), _WATERFALL_CAPTION)
    if record.calls:
        yield _plot(timeline_plot(record, summary), _TIMELINE_CAPTION)


def _plot(svg: str, caption: str) -> dict[str, Any]:
    # The plots are ours, and matplotlib escapes the texts in them.
    return {"svg": Markup(svg), "caption": caption}  # noqa: S704


def _shown(problem: dict[str, Any]) -> dict[str, Any]:
    turn, at = problem["turn"], problem["at"]
    return {**problem, "turn": "–" if turn is None else turn, "at": "–" if at is None else f"{at:.1f}"}
