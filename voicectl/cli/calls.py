"""`voicectl calls`: list, show, export and prune the records of calls, and import what others know about them."""

import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voicectl.cli.calls_score import app as scoring
from voicectl.cli.calls_shown import named, plain, print_call, print_calls
from voicectl.cli.options import JsonOption, ProfileOption, SetOption, chosen_profile
from voicectl.cli.output import Output
from voicectl.core.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.governance.store.importcolumns import ImportKind
    from voicectl.governance.store.rows import CallFilter
    from voicectl.governance.store.store import Store

DEFAULT_LIMIT: Final = 50
_AGO: Final = re.compile(r"([1-9][0-9]{0,4})([mhdw])")
_UNITS_S: Final = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


class TierChoice(StrEnum):
    """A risk tier."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class OutcomeChoice(StrEnum):
    """What became of a call."""

    CONTAINED = "contained"
    RESOLVED = "resolved"
    ESCALATED = "escalated"
    TRANSFERRED = "transferred"
    ABANDONED = "abandoned"
    FAILED = "failed"
    OPEN = "open"
    INCOMPLETE = "incomplete"


class FormatChoice(StrEnum):
    """A kind of file."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


class WhatChoice(StrEnum):
    """What a row of an export is."""

    CALLS = "calls"
    TURNS = "turns"


class KindChoice(StrEnum):
    """What a file tells about calls."""

    OUTCOMES = "outcomes"
    COMPLAINTS = "complaints"
    REVIEWS = "reviews"
    VIOLATIONS = "violations"


SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="From then on: 2026-09-04, an RFC 3339 instant, or 7d.")
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Before then; written as --since.")]
UseCaseOption = Annotated[str | None, typer.Option("--use-case", metavar="NAME", help="Of this use case.")]
TierOption = Annotated[TierChoice | None, typer.Option("--tier", help="Of this risk tier.")]
OutcomeOption = Annotated[OutcomeChoice | None, typer.Option("--outcome", help="That went like this.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, show, export, complete and score records.")
app.add_typer(scoring)


@app.command("list", epilog="Example: voicectl calls list --since 7d --outcome escalated")
def list_command(
    *,
    since: SinceOption = None,
    until: UntilOption = None,
    use_case: UseCaseOption = None,
    tier: TierOption = None,
    outcome: OutcomeOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most so many.")] = DEFAULT_LIMIT,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """List recorded calls, newest first."""
    from voicectl.governance.store.rows import call_document, count_calls, newest_calls

    wanted = _filter(since, until, use_case, tier, outcome)
    with _store(profile, settings) as store, store.read() as connection:
        found = newest_calls(connection, wanted, limit)
        total = count_calls(connection, wanted)
    output = Output(json=json)
    if total > len(found):
        output.note(f"{len(found)} of {total} calls; more with --limit")
    document = {"store": store.place, "total": total, "calls": [call_document(call) for call in found]}
    output.result(document, lambda console: print_calls(console, found))


@app.command("show", epilog="Example: voicectl calls show sess_0123456789abcdef01234567")
def show_command(
    call_id: Annotated[str, typer.Argument(metavar="ID", help="The call's id, as `voicectl calls list` shows it.")],
    *,
    with_events: Annotated[bool, typer.Option("--events", help="Show its events too.")] = False,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Show one call: what became of it, its turns, and with --events all that happened."""
    from dataclasses import asdict

    from voicectl.governance.store.rows import call_document, call_of, events_of, turns_of

    with _store(profile, settings) as store, store.read() as connection:
        call = call_of(connection, call_id)
        if call is None:
            raise UsageError(f"{store.place}: there is no call {call_id!r}", hint="see `voicectl calls list`")
        turns = turns_of(connection, call_id)
        events = events_of(connection, call_id) if with_events else []
    document = {**call_document(call), "turns": [asdict(turn) for turn in turns]}
    if with_events:
        document["events"] = [asdict(event) for event in events]
    Output(json=json).result(document, lambda console: print_call(console, call_document(call), turns, events))


@app.command("export", epilog="Example: voicectl calls export --since 30d --format parquet --out calls.parquet")
def export_command(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to; a file there is replaced.")],
    what: Annotated[WhatChoice, typer.Option("--what", help="What a row is.")] = WhatChoice.CALLS,
    file_format: Annotated[FormatChoice, typer.Option("--format", "-f", help="Kind of file.")] = FormatChoice.CSV,
    since: SinceOption = None,
    until: UntilOption = None,
    use_case: UseCaseOption = None,
    tier: TierOption = None,
    outcome: OutcomeOption = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Write the rows of calls, or of their turns, into a file, oldest first."""
    from voicectl.governance.store.export import export_rows
    from voicectl.governance.store.rows import count_calls

    wanted = _filter(since, until, use_case, tier, outcome)
    output = Output(json=json)
    with _store(profile, settings) as store:
        with store.read() as connection:
            total = count_calls(connection, wanted)
        with output.progress("items") as bars:
            task = bars.add_task("calls", total=total or None)
            with _ended_by_sigterm():
                num_rows = export_rows(
                    store,
                    what.value,
                    wanted,
                    out,
                    file_format.value,
                    on_batch=lambda count: bars.advance(task, count),
                )
    document = {"file": named(out), "format": file_format.value, what.value: num_rows}
    said = f"{num_rows} {what.value} written to {plain(str(out))}"
    output.result(document, lambda console: console.print(said, markup=False))


@app.command("import", epilog="Example: voicectl calls import --kind outcomes outcomes.csv")
def import_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .csv or .jsonl file.")],
    *,
    kind: Annotated[KindChoice, typer.Option("--kind", "-k", help="What it tells about calls.")],
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Take outcomes, complaints, reviews or violations: the whole file or, if one row is wrong, nothing of it.

    A file that was taken before changes nothing. Explanations and details pass the profile's redactor; without one
    they are not kept. Violations are told to the audit log. Columns: docs/governance.md.
    """
    from voicectl.governance.store.imports import import_file
    from voicectl.service.governing.open import open_redactor
    from voicectl.service.governing.reporting import tell_reported

    wanted: ImportKind = kind.value
    chosen = chosen_profile(profile, settings)
    redactor = open_redactor(chosen.redaction)
    with _store(profile, settings) as store:
        redacted = None if redactor is None else redactor.text
        taken = import_file(store, wanted, file, now=time.time(), redacted=redacted)
    tell_reported(chosen.audit, taken.violations, taken.sha256)
    document = {"kind": taken.kind, "file": named(file), "sha256": taken.sha256, "rows": taken.num_rows}
    said = "was imported before, nothing changed" if taken.already else f"{taken.num_rows} {taken.kind} imported"
    told = f"{plain(str(file))}: {said}"
    Output(json=json).result({**document, "already": taken.already}, lambda console: console.print(told, markup=False))


@app.command("prune", epilog="Example: voicectl calls prune --dry-run")
def prune_command(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    profile: ProfileOption = None,
    settings: SetOption = None,
    json: JsonOption = False,
) -> None:
    """Take away what is older than governance.retention allows. The gateway does so by itself every hour."""
    from dataclasses import asdict

    from voicectl.governance.store.retention import prune

    retention = chosen_profile(profile, settings).governance.retention
    with _store(profile, settings) as store:
        pruned = prune(store, retention, time.time(), dry_run=dry_run)
    counts = {name.removeprefix("num_"): count for name, count in asdict(pruned).items()}
    would = "would lose" if dry_run else "lost"

    def render(console: "Console") -> None:
        for name, count in counts.items():
            console.print(f"{count:>8} calls {would} their {name if name != 'calls' else 'records'}")

    Output(json=json).result({"store": store.place, "dry_run": dry_run, **counts}, render)


# --- plumbing -------------------------------------------------------------------------------


def _store(profile: str | None, settings: list[str] | None) -> "Store":
    from voicectl.governance.store.location import location_of
    from voicectl.governance.store.store import open_store

    return open_store(location_of(chosen_profile(profile, settings).governance), timeout_s=30.0, create=False)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM end the work as an error would, with what it began cleared away."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _filter(
    since: str | None, until: str | None, use_case: str | None, tier: TierChoice | None, outcome: OutcomeChoice | None
) -> "CallFilter":
    from voicectl.governance.store.rows import CallFilter

    now = time.time()
    return CallFilter(
        since=None if since is None else _instant("--since", since, now),
        until=None if until is None else _instant("--until", until, now),
        use_case=use_case,
        tier=None if tier is None else tier.value,
        outcome=None if outcome is None else outcome.value,
    )


def _instant(option: str, text: str, now: float) -> float:
    """Return seconds since the epoch; what names no zone is UTC, as are all instants of records."""
    if (ago := _AGO.fullmatch(text.strip().lower())) is not None:
        return now - int(ago[1]) * _UNITS_S[ago[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"{option} {text!r} is no time", hint="write 2026-09-04, 2026-09-04T12:00:00Z, or 7d for a week ago"
        ) from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
