"""Draw a plan: latency by load, the day against the lines, memory. matplotlib is loaded only here."""

import html
import io
from pathlib import Path
from typing import TYPE_CHECKING

from voicectl.core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from voicectl.capacity.answer import Plan
    from voicectl.capacity.demand import Demand


def draw(plan: "Plan", demand: "Demand", path: Path) -> None:
    """Write the plots to a .svg, .png or self-contained .html file. Raises ConfigError."""
    figure = _figure(plan, demand)
    try:
        if path.suffix == ".html":
            path.write_text(_page(plan, figure), encoding="utf-8")
        else:
            figure.savefig(path, format=path.suffix[1:], dpi=120)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error


def _figure(plan: "Plan", demand: "Demand") -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 10), layout="constrained")
    latency, day, memory = figure.subplots(3, 1)
    _latency(latency, plan)
    _day(day, plan, demand)
    _memory(memory, plan)
    figure.suptitle(f"{plan.basis}: {plan.profile} on {plan.hardware.split(':')[0]}, {plan.slo}")
    return figure


def _latency(axes: "Axes", plan: "Plan") -> None:
    calls = [point[0] for point in plan.knee.curve]
    axes.plot(calls, [1000 * point[1] for point in plan.knee.curve], marker="o", label="predicted")
    low, high = ([1000 * point[index] for point in plan.knee.curve] for index in (2, 3))
    axes.fill_between(calls, low, high, alpha=0.2, label="95 of 100 measurements")
    limit_ms = float(plan.slo.partition("<")[2].removesuffix("ms"))
    axes.axhline(limit_ms, linestyle="--", color="black", label=plan.slo)
    if plan.sessions:
        axes.axvline(plan.sessions, linestyle=":", color="black", label=f"{plan.sessions} sessions a host")
    axes.set(xlabel="calls at once on one host", ylabel="voice to voice, ms", yscale="log")
    axes.legend(fontsize=8)


def _day(axes: "Axes", plan: "Plan", demand: "Demand") -> None:
    at_once = [calls * demand.handle_s / 3600 for calls in demand.calls]
    axes.bar(range(len(at_once)), at_once, label="calls at once, on average")
    if plan.hosts_with_loss is not None:
        lines = plan.hosts_with_loss * plan.sessions
        axes.axhline(lines, linestyle="--", color="black", label=f"{lines} lines of {plan.hosts_with_loss} hosts")
        axes.axhline(lines - plan.sessions, linestyle=":", color="black", label="with one host lost")
    axes.set(xlabel="hour", ylabel="calls at once")
    axes.legend(fontsize=8)


def _memory(axes: "Axes", plan: "Plan") -> None:
    for row, (name, memory) in enumerate((("host", plan.ram), ("card", plan.card))):
        if memory is None:
            continue
        left = 0.0
        for part, size_gb in memory.parts_gb.items():
            axes.barh(row, size_gb, left=left, label=f"{name}: {part} {size_gb:.1f} GB")
            left += size_gb
        axes.plot([memory.total_gb] * 2, [row - 0.45, row + 0.45], color="black")
    axes.set(xlabel="GB", yticks=[0, 1] if plan.card else [0], yticklabels=["host", "card"] if plan.card else ["host"])
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _page(plan: "Plan", figure: "Figure") -> str:
    """Return a page that needs nothing else: the table as text, the plots as SVG."""
    from rich.console import Console

    from voicectl.cli.plan_view import render_plan

    text = io.StringIO()
    render_plan(Console(file=text, width=96, color_system=None), plan)
    picture = io.StringIO()
    figure.savefig(picture, format="svg")
    svg = picture.getvalue()
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Plan: {html.escape(plan.profile)}</title>"
        "<style>body{font-family:sans-serif;max-width:60rem;margin:2rem auto}"
        "pre{overflow-x:auto}svg{max-width:100%;height:auto}</style>"
        f"</head><body><h1>Plan: {html.escape(plan.profile)}</h1>{svg[svg.index('<svg') :]}"
        f"<pre>{html.escape(text.getvalue())}</pre></body></html>\n"
    )
