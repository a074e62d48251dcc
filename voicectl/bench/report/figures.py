"""The plots of a run, drawn by matplotlib into inline SVG. Picks nothing and judges nothing.

Every colour is a placeholder that becomes a CSS variable of the page, so that a plot is legible in the light
and in the dark. The same run gives the same bytes: no date, no random ids.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from voicectl.bench.report.evidence import Curve, WantedTurn, calls_in_progress, wanted_turns, waterfall
from voicectl.bench.run_record import RunRecord
from voicectl.bench.summary import RunSummary
from voicectl.bench.turns import STAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK: Final = "#1a1b1c"
MUTED: Final = "#6a6b6c"
GRID: Final = "#dadbdc"
PAPER: Final = "#fcfdfe"
ACCENT: Final = "#1f6fb4"
WARN: Final = "#c2410d"
STAGE_COLOURS: Final = dict(
    zip(
        (*STAGES, "unexplained"),
        # Okabe and Ito's palette, told apart by most people who see colours differently; greys at the ends.
        ("#8a8b8c", "#e69f01", "#56b4e8", "#0a9e74", "#cc79a6", "#d55e01", "#0b72b1", "#b5b6b7", "#dfe0e1"),
        strict=True,
    )
)
_VARIABLES: Final = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    ACCENT: "--accent",
    WARN: "--warn",
}
_STYLE: Final = {
    "svg.hashsalt": "voicectl",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "text.color": INK,
    # Workloads and thresholds are named by people, who may write a dollar.
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "figure.facecolor": "none",
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}
_ON_BAR: Final = "#0c0d0e"
"""Text on a stage's colour, which is the same in the light and in the dark."""
_LABEL_PERCENT: Final = 7
_HEADROOM: Final = 1.15
_TIGHT: Final = {"columnspacing": 1.0, "handlelength": 0.9, "handletextpad": 0.4}
_WIDTH_INCHES: Final = 8.6
_NO_METADATA: Final = {"Date": None, "Creator": None, "Format": None, "Type": None}


def latency_plot(curve: Curve, limits: Sequence[tuple[str, float, float]], worst_s: float) -> str:
    """Return the share of turns answered within a latency, with its band and a line for each limit.

    `limits` are texts of thresholds with the share and the latency that they ask for. The axis ends at `worst_s`
    or the widest limit.
    """
    with _drawing(3.6) as (figure, [axes]):
        at_ms, share = 1000 * curve.at_s, 100 * curve.share
        low, high = 100 * curve.low, 100 * curve.high
        axes.fill_between(at_ms, low, high, step="post", color=ACCENT, alpha=0.22, linewidth=0, label="95 % band")
        axes.step(at_ms, share, where="post", color=ACCENT, linewidth=1.8, label=f"turns answered, n = {curve.num}")
        for row, (text, wanted, limit_s) in enumerate(limits):
            axes.plot([1000 * limit_s] * 2, [0, 100 * wanted], color=WARN, linewidth=1.2, linestyle=(0, (5, 3)))
            axes.plot([1000 * limit_s], [100 * wanted], color=WARN, marker="o", markersize=5, linestyle="none")
            # Each one row higher than the last: thresholds of one metric tend to lie close together.
            place = (1000 * limit_s, 2 + _LABEL_PERCENT * row)
            axes.annotate(text, place, xytext=(5, 0), textcoords="offset points", color=WARN, fontsize=9)
        widest = max([worst_s, *(limit_s for _, _, limit_s in limits)])
        axes.set_xlim(0, 1060 * widest)
        axes.set_ylim(0, 102)
        axes.set_xlabel("voice to voice, ms")
        axes.set_ylabel("% of turns")
        axes.grid(True, linewidth=0.6)
        axes.legend(loc="upper left", fontsize=9)
        return _svg(figure, "latency")


def waterfall_plot(turns: Sequence[tuple[str, WantedTurn]]) -> str:
    """Return where the time of some turns went; `turns` are their names and themselves."""
    with _drawing(0.9 + 0.75 * len(turns)) as (figure, [axes]):
        longest_s = max((turn.latency_s for _, turn in turns), default=0.0)
        shown: dict[str, None] = {}
        for row, (_, turn) in enumerate(turns):
            for bar in waterfall(turn.turn):
                start_ms, length_ms = 1000 * bar.start_s, 1000 * (bar.end_s - bar.start_s)
                label = bar.stage.replace("_", "-") if bar.stage not in shown and length_ms > 0 else "_nolegend_"
                axes.barh(row, length_ms, left=start_ms, height=0.56, color=STAGE_COLOURS[bar.stage], label=label)
                if length_ms > 0:
                    shown[bar.stage] = None
                if length_ms > 55 * longest_s:
                    axes.text(
                        start_ms + length_ms / 2,
                        row,
                        f"{length_ms:.0f}",
                        ha="center",
                        va="center",
                        fontsize=8.5,
                        color=_ON_BAR,
                    )
            axes.text(1000 * turn.latency_s, row, f"  {1000 * turn.latency_s:,.0f} ms", va="center", fontsize=9)
        axes.set_yticks(range(len(turns)), [name for name, _ in turns])
        axes.invert_yaxis()
        axes.set_xlim(0, 1130 * longest_s)
        axes.set_xlabel("ms after the caller's last voiced sample")
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(STAGE_COLOURS), fontsize=8, **_TIGHT)
        return _svg(figure, "waterfall")


def timeline_plot(record: RunRecord, summary: RunSummary) -> str:
    """Return load above and latency below, over the time of the run; the dropped warm-up is shaded."""
    from matplotlib.ticker import MaxNLocator

    with _drawing(4.2, rows=2) as (figure, [load, latency]):
        end_s = max(record.wall_s, record.plan.duration_s)
        at_s, calls = calls_in_progress(record)
        load.step([*at_s, end_s], [*calls, calls[-1]], where="post", color=ACCENT, linewidth=1.4)
        load.fill_between([*at_s, end_s], [*calls, calls[-1]], step="post", color=ACCENT, alpha=0.18, linewidth=0)
        load.set_ylim(0, max(1, summary.peak_concurrency, int(calls.max())) * 1.12)
        load.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        load.set_ylabel("calls")
        turns = wanted_turns(record)
        answered = [turn for turn in turns if not turn.censored]
        top_ms = 1000 * _HEADROOM * max((turn.latency_s for turn in answered), default=1.0)
        _dots(latency, answered, top_ms, color=ACCENT, marker="o", label="answered")
        # Timeouts are ten times as long as answers: at the edge, they leave the answers room.
        _dots(latency, [turn for turn in turns if turn.censored], top_ms, color=WARN, marker="^", label="no answer")
        latency.set_ylim(0, 1.04 * top_ms)
        latency.set_ylabel("voice to voice, ms")
        latency.set_xlabel("seconds since the start of the load")
        if turns:
            latency.legend(loc="lower right", fontsize=9, ncols=2, **_TIGHT)
        for axes in (load, latency):
            axes.set_xlim(0, end_s)
            axes.grid(True, linewidth=0.6)
            if summary.warm_up.dropped_s > 0:
                axes.axvspan(0, summary.warm_up.dropped_s, color=MUTED, alpha=0.2, linewidth=0)
        if summary.warm_up.dropped_s > 0:
            load.annotate(
                "warm-up, dropped",
                (0, 1),
                xytext=(4, -11),
                xycoords="axes fraction",
                textcoords="offset points",
                fontsize=8.5,
                color=MUTED,
            )
        return _svg(figure, "timeline")


def _dots(axes: "Axes", turns: Sequence[WantedTurn], top_ms: float, **look: Any) -> None:
    if turns:
        heights = [min(1000 * turn.latency_s, top_ms) for turn in turns]
        at_s = [turn.at for turn in turns]
        axes.plot(at_s, heights, markersize=4, alpha=0.8, markeredgewidth=0, linestyle="none", clip_on=False, **look)


@contextmanager
def _drawing(height_inches: float, rows: int = 1) -> "Iterator[tuple[Figure, list[Axes]]]":
    """Begin a figure of `rows` axes above each other, with one time axis, in the page's style."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]  # the stubs want each key as a literal
        figure = Figure(figsize=(_WIDTH_INCHES, height_inches), layout="constrained")
        axes = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=[1, *[2] * (rows - 1)])
        yield figure, list(axes[:, 0])


def _svg(figure: "Figure", name: str) -> str:
    """Return a figure as an element for an HTML page: no prolog, ids of its own, colours as variables."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata=_NO_METADATA)
    text = written.getvalue()
    text = text[text.index("<svg") :]
    # matplotlib's own style sheet would hold for all of the page, which has the rule for its plots alone.
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\bid="', f'id="{name}-', text).replace('href="#', f'href="#{name}-')
    text = text.replace("url(#", f"url(#{name}-")
    text = text.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text
