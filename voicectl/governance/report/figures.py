"""How figures are written: shares, seconds, rows with their bound and how they stand to it. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from voicectl.governance.kpi.rate import Rate
from voicectl.governance.report.digest import STANDING_WORDS, Standing, Table
from voicectl.governance.report.facts import Reason

UNKNOWN: Final = "unknown"

Form = Callable[[float], str]
Row = tuple[tuple[str, ...], Standing]
Rows = Sequence[Row]


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure has to keep; without a value there is nothing to keep."""

    sign: Literal["≥", ">", "<"]
    value: float | None

    def standing(self, figure: float | None) -> Standing:
        """Return how a figure stands to the bound."""
        if self.value is None:
            return "none"
        if figure is None:
            return "unknown"
        holds = {"≥": figure >= self.value, ">": figure > self.value, "<": figure < self.value}[self.sign]
        return "holds" if holds else "breached"

    def text(self, form: Form) -> str:
        """Return the bound in words."""
        return "" if self.value is None else f"{self.sign} {form(self.value)}"


UNBOUND: Final = Bound("<", None)


def rate_row(name: str, now: Rate, before: Rate, bound: Bound = UNBOUND) -> Row:
    """Return the row of a proportion beside the one of the period before."""
    of = f"{now.of}" + (f" (+{now.unknown} unknown)" if now.unknown else "")
    cells = (name, share(now.value), interval(now), of, share(before.value), bound.text(percent))
    return cells, bound.standing(now.value)


def number_row(
    name: str, now: float | None, before: float | None, of: str, *, form: Form, below: float | None = None
) -> Row:
    """Return the row of an amount beside the one of the period before."""
    bound = Bound("<", below)
    cells = (name, shown(now, form), "", of, shown(before, form), bound.text(form))
    return cells, bound.standing(now)


def worst(standings: Iterable[Standing]) -> Standing:
    """Return how several figures stand together."""
    found = set(standings)
    order: tuple[Standing, ...] = ("breached", "unknown", "holds", "none")
    return next((standing for standing in order if standing in found), "none")


def table(columns: tuple[str, ...], rows: Rows) -> Table:
    """Return a table; a last column says how each row stands, unless none does."""
    standings = tuple(standing for _, standing in rows)
    if all(standing == "none" for standing in standings):
        return Table(columns, tuple(cells for cells, _ in rows))
    shown_rows = tuple((*cells, STANDING_WORDS[standing]) for cells, standing in rows)
    return Table((*columns, "Standing"), shown_rows, standings)


def tables(columns: tuple[str, ...], rows: Rows) -> tuple[Table, ...]:
    """Return a table, or nothing without rows."""
    return (table(columns, rows),) if rows else ()


def reasons_table(reasons: Iterable[Reason]) -> Table:
    """Return a table of what went wrong."""
    rows: list[Row] = [
        ((one.name.removeprefix("flag:").replace("_", " "), one.kind, str(one.count), ", ".join(one.call_ids)), "none")
        for one in reasons
    ]
    return table(("Reason", "Kind", "Calls", "For example"), rows)


def unless(found: Sequence[object], text: str) -> tuple[str, ...]:
    """Return a paragraph to stand where nothing was found."""
    return () if found else (text,)


def share(value: float | None) -> str:
    """Return a proportion in percent, or that it is unknown."""
    return shown(value, percent)


def against(value: float | None, bound: float | None) -> str:
    """Return a proportion with its bound behind it."""
    return share(value) if bound is None else f"{share(value)} ({percent(bound)})"


def interval(rate: Rate) -> str:
    """Return the interval of a proportion; nothing where it is unknown."""
    if rate.interval is None:
        return ""
    low, high = rate.interval
    return f"{percent(low)} to {percent(high)}"


def shown(value: float | None, form: Form) -> str:
    """Return an amount, or that it is unknown."""
    return UNKNOWN if value is None else form(value)


def percent(value: float) -> str:
    """Return a proportion in percent."""
    return f"{value * 100:.1f} %"


def seconds(value: float) -> str:
    """Return seconds to the hundredth."""
    return f"{value:.2f} s"


def whole_seconds(value: float) -> str:
    """Return whole seconds."""
    return f"{value:.0f} s"


def plain(value: float) -> str:
    """Return an amount to the hundredth."""
    return f"{value:.2f}"


def signed(value: float) -> str:
    """Return a difference to the hundredth."""
    return f"{value:+.2f}"


def instant(at: float) -> str:
    """Return an instant to the minute, UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
