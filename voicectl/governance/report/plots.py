"""Draw the plots of a report as SVG, the same bytes for the same facts. Matplotlib is loaded only here."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from voicectl.governance.kpi.kpis import MIN_TURNS, Kpis
from voicectl.governance.kpi.rate import Rate, total
from voicectl.governance.report.digest import Plot
from voicectl.governance.report.facts import TRAILING, Facts
from voicectl.governance.report.lines import Lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_IN: Final = (9.0, 2.9)
BLUE: Final = "#1f5fa8"
ORANGE: Final = "#c2570c"
GREEN: Final = "#2f7d4f"
RED: Final = "#b42318"
GREY: Final = "#6b7680"
DASHES: Final = ("--", ":", "-.")
"""Of several lines in one plot each has its own, to be told apart without colours."""

Drawing = Callable[["Axes", Facts, Lines], bool]
"""Draws on axes and returns whether there was anything to draw."""


def draw_plots(facts: Facts, lines: Lines) -> dict[Plot, str]:
    """Return the plots that have something to show, as SVG elements."""
    drawn = {name: _svg(name, title, facts, lines, draw) for name, (title, draw) in _DRAWINGS.items()}
    return {name: svg for name, svg in drawn.items() if svg is not None}


def figure_of(name: Plot, facts: Facts, lines: Lines) -> "Figure | None":
    """Return one plot as a figure, None when there is nothing to show."""
    from matplotlib.figure import Figure

    title, draw = _DRAWINGS[name]
    figure = Figure(figsize=SIZE_IN, layout="constrained")
    axes = figure.add_subplot()
    if not draw(axes, facts, lines):
        return None
    _dress(axes, facts, title)
    return figure


def trailing(by_day: Mapping[int, Kpis], day: int, read: Callable[[Kpis], Rate]) -> Rate:
    """Return a proportion over the seven days that end with `day`."""
    return total(read(by_day[one]) for one in range(day - TRAILING, day + 1) if one in by_day)


def _svg(name: Plot, title: str, facts: Facts, lines: Lines, draw: Drawing) -> str | None:
    import matplotlib as mpl

    # The salt makes the identifiers in the file the same each time, and different from those of other plots.
    settings: dict[Any, Any] = {
        "svg.hashsalt": f"voicectl-{name}",
        "svg.fonttype": "path",
        "font.size": 9.0,
        "path.simplify": False,
    }
    with mpl.rc_context(settings):
        figure = figure_of(name, facts, lines)
        if figure is None:
            return None
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    element = text[text.index("<svg") :].strip()
    return element.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)


def _containment(axes: "Axes", facts: Facts, lines: Lines) -> bool:
    drawn = _rates(axes, facts, lambda one: one.containment, "contained", BLUE, band=True)
    again = _rates(axes, facts, lambda one: one.containment_7d, "no call again in 7 days", ORANGE, dots=False)
    bars = {tier: lines.tiers[tier].containment for tier in sorted(facts.tiers) if tier in lines.tiers}
    for place, bar in enumerate(sorted({one for one in bars.values() if one is not None})):
        tiers = ", ".join(tier for tier, own in bars.items() if own == bar)
        _line(axes, bar, f"gate {_share(bar)}, tier {tiers}", dashes=DASHES[place % len(DASHES)])
    axes.set_ylim(0, 1)
    _percent(axes)
    return drawn or again


def _compliance(axes: "Axes", facts: Facts, lines: Lines) -> bool:
    drawn = _rates(axes, facts, lambda one: one.compliance_flags, "flagged", BLUE, band=True)
    bar = lines.of_tiers(facts.tiers).compliance_flags
    if bar is not None:
        _line(axes, bar, f"limit {_share(bar)}")
    _from_zero(axes, at_least=0.05)
    _percent(axes)
    return drawn


def _wer(axes: "Axes", facts: Facts, lines: Lines) -> bool:
    daily = [(day, facts.by_day[day].wer) for day in facts.period.days if day in facts.by_day]
    told = [(day, value) for day, value in daily if value is not None]
    if not told:
        return False
    axes.plot(
        _dates([day for day, _ in told]),
        [value for _, value in told],
        "o",
        color=BLUE,
        alpha=0.45,
        ms=3.5,
        label="a day",
    )
    weekly = [(day, _trailing_wer(facts.by_day, day)) for day in facts.period.days]
    known = [(day, value) for day, value in weekly if value is not None]
    axes.plot(_dates([day for day, _ in known]), [value for _, value in known], color=BLUE, lw=1.8, label="7 days")
    if lines.wer_alert is not None:
        _line(axes, lines.wer_alert, f"alert {_share(lines.wer_alert)}")
    if lines.wer_target is not None:
        _line(axes, lines.wer_target, f"target {_share(lines.wer_target)}", color=GREEN, dashes=DASHES[1])
    _from_zero(axes, at_least=(lines.wer_alert or 0.0) * 1.25)
    _percent(axes)
    return True


def _latency(axes: "Axes", facts: Facts, lines: Lines) -> bool:
    drawn = False
    for name, label, color in (("p50_s", "P50", GREEN), ("p90_s", "P90", BLUE), ("p99_s", "P99", ORANGE)):
        points = [(day, getattr(facts.by_day[day].latency, name)) for day in facts.period.days if day in facts.by_day]
        known = [(day, value) for day, value in points if value is not None]
        if known:
            drawn = True
            days = _dates([day for day, _ in known])
            axes.plot(days, [value for _, value in known], "o-", color=color, lw=1.5, ms=3, label=label)
    if lines.v2v_p90_s is not None:
        _line(axes, lines.v2v_p90_s, f"P90 alert {lines.v2v_p90_s:g} s")
    if lines.v2v_p99_s is not None:
        _line(axes, lines.v2v_p99_s, f"P99 alert {lines.v2v_p99_s:g} s", color=GREY, dashes=DASHES[1])
    _from_zero(axes, at_least=(lines.v2v_p99_s or 0.0) * 1.1)
    axes.set_ylabel("seconds")
    axes.annotate(
        f"a day needs {MIN_TURNS['p90_s']} turns for P90, {MIN_TURNS['p99_s']} for P99",
        (1, 1.02), xycoords="axes fraction", ha="right", fontsize=7, color=GREY,
    )  # fmt: skip
    return drawn


def _escalation(axes: "Axes", facts: Facts, lines: Lines) -> bool:
    drawn = _rates(axes, facts, lambda one: one.escalation, "escalated", BLUE)
    warm = _rates(axes, facts, lambda one: one.warm_transfer, "of transfers, warm", GREEN, dots=False)
    bar = lines.of_tiers(facts.tiers).warm_transfer
    if warm and bar is not None:
        _line(axes, bar, f"warm transfers {_share(bar)}")
    axes.set_ylim(0, 1.03)
    _percent(axes)
    return drawn or warm


_DRAWINGS: Final[dict[Plot, tuple[str, Drawing]]] = {
    "containment": ("Containment", _containment),
    "compliance": ("Calls with a compliance flag", _compliance),
    "wer": ("Word error rate", _wer),
    "latency": ("Voice-to-voice latency", _latency),
    "escalation": ("Escalations and warm transfers", _escalation),
}


def _rates(
    axes: "Axes",
    facts: Facts,
    read: Callable[[Kpis], Rate],
    label: str,
    color: str,
    *,
    band: bool = False,
    dots: bool = True,
) -> bool:
    """Draw a proportion: a dot a day, a line over seven days, and the interval of that line."""
    daily = [(day, read(facts.by_day[day]).value) for day in facts.period.days if day in facts.by_day]
    known = [(day, value) for day, value in daily if value is not None]
    weekly = [(day, trailing(facts.by_day, day, read)) for day in facts.period.days]
    # Where most calls are unknown, as those that their callers may still follow up, the rest stands for nobody.
    spans = [
        (day, rate.value, rate.interval)
        for day, rate in weekly
        if rate.value is not None and rate.interval is not None and rate.unknown <= rate.of
    ]
    if not spans:
        return False
    days = _dates([day for day, _, _ in spans])
    if dots:
        axes.plot(
            _dates([day for day, _ in known]), [value for _, value in known], "o", color=color, alpha=0.45, ms=3.5
        )
    axes.plot(days, [value for _, value, _ in spans], color=color, lw=1.8, label=f"{label}, 7 days")
    if band:
        lows, highs = zip(*(interval for _, _, interval in spans), strict=True)
        axes.fill_between(days, lows, highs, color=color, alpha=0.13, lw=0)
    return True


def _trailing_wer(by_day: Mapping[int, Kpis], day: int) -> float | None:
    words = [by_day[one].words for one in range(day - TRAILING, day + 1) if one in by_day]
    of = sum(one.words for one in words)
    return sum(one.errors for one in words) / of if of else None


def _dress(axes: "Axes", facts: Facts, title: str) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    first, last = _dates([facts.period.days[0], facts.period.days[-1]])
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlim(first - 0.5, last + 0.5)
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]  # matplotlib leaves it bare
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
    axes.grid(axis="y", color="#e6eaee", lw=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)


def _line(axes: "Axes", at: float, label: str, *, color: str = RED, dashes: str = DASHES[0]) -> None:
    axes.axhline(at, color=color, lw=1.2, ls=dashes, label=label)


def _share(value: float) -> str:
    return f"{value * 100:g}%"


def _percent(axes: "Axes") -> None:
    from matplotlib.ticker import PercentFormatter

    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))


def _from_zero(axes: "Axes", *, at_least: float) -> None:
    axes.set_ylim(0, max(axes.get_ylim()[1], at_least))


def _dates(days: Sequence[int]) -> list[float]:
    # Matplotlib counts days from the same epoch as we do.
    return [float(day) for day in days]
