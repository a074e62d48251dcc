"""How calls look to people. What others wrote is escaped: no terminal obeys it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voicectl.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.core.records import CallRow, GovernanceEvent, TurnRow


def print_calls(console: "Console", found: "Sequence[CallRow]") -> None:
    """Print a table of calls."""
    from rich.table import Table

    if not found:
        console.print("no calls")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("started (UTC)", no_wrap=True)
    table.add_column("call", no_wrap=True)
    table.add_column("use case", overflow="ellipsis", no_wrap=True, max_width=16)
    table.add_column("tier", no_wrap=True)
    table.add_column("turns", justify="right")
    table.add_column("went", no_wrap=True)
    for call in found:
        started = f"{datetime.fromtimestamp(call.started_at, UTC):%m-%d %H:%M}"
        table.add_row(started, call.call_id, call.use_case, call.tier[:4], str(call.num_turns), _went(call))
    console.print(table)


def _went(call: "CallRow") -> str:
    """Return the one word that says most about a call."""
    from voicectl.core.records import contained

    if call.ended_at is None:
        return "open"
    for word, holds in (
        ("incomplete", call.incomplete),
        ("transferred", call.transfer_attempted),
        ("escalated", call.escalated),
        ("abandoned", call.abandoned),
        ("contained", contained(call)),
        ("resolved", call.resolved),
    ):
        if holds:
            return word
    return "unresolved" if call.resolved is False else (call.end_reason or "ended")


def print_call(
    console: "Console", document: dict[str, Any], turns: "Sequence[TurnRow]", events: "Sequence[GovernanceEvent]"
) -> None:
    """Print what is known of one call, its turns, and its events."""
    for name, value in document.items():
        if value is not None:
            console.print(f"{name:<24} {plain(_shown(name, value))}", markup=False)
    for turn in turns:
        v2v = "-" if turn.v2v_s is None else f"{turn.v2v_s * 1000:.0f} ms"
        console.print(f"\nturn {turn.turn}, v2v {v2v}{', interrupted' if turn.interrupted else ''}", markup=False)
        for who, said in (("caller", turn.transcript), ("agent", turn.reply)):
            if said:
                console.print(f"  {who:<6}  {plain(said)}", markup=False)
    if events:
        console.print()
    for event in events:
        console.print(f"{event.sequence:>6}  {_utc(event.at)}  {event.kind}", markup=False)


def named(path: Path) -> str:
    """Return a path for programs; bytes in it that are no text are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def plain(text: str) -> str:
    """Return what others wrote so that no terminal obeys it: what cannot be printed, or turns text round, escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _shown(name: str, value: Any) -> str:
    if name.endswith("_at") and isinstance(value, float):
        return _utc(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _utc(at: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError) as error:
        raise ConfigError(f"{at!r} is no instant") from error
