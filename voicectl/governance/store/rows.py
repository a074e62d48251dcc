"""Reads and writes events, calls and turns. Runs in the transaction of its caller."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, case, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from voicectl.core.records import CallRow, GovernanceEvent, Tier, TurnRow, contained
from voicectl.governance.recording.fold import CORRECTED, RECORDED, RECORDED_TURN, recorded
from voicectl.governance.store.tables import calls, events, turns

CALL_FIELDS: Final = tuple(field.name for field in fields(CallRow))
TURN_FIELDS: Final = tuple(field.name for field in fields(TurnRow))
BATCH: Final = 1000

Outcome = Literal["contained", "resolved", "escalated", "transferred", "abandoned", "failed", "open", "incomplete"]
_OUTCOMES: Final[Mapping[Outcome, ColumnElement[bool]]] = {
    "contained": and_(
        calls.c.answered_at.is_not(None),
        calls.c.resolved.is_(True),
        calls.c.transfer_attempted.is_(False),
        calls.c.abandoned.is_(False),
    ),
    "resolved": calls.c.resolved.is_(True),
    "escalated": calls.c.escalated.is_(True),
    "transferred": calls.c.transfer_attempted.is_(True),
    "abandoned": calls.c.abandoned.is_(True),
    "failed": calls.c.end_reason.in_(("failed", "lost")),
    "open": calls.c.ended_at.is_(None),
    "incomplete": calls.c.incomplete.is_(True),
}


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls are wanted; None is any. `since` is included, `until` is not: seconds since the epoch."""

    since: float | None = None
    until: float | None = None
    use_case: str | None = None
    tier: Tier | None = None
    outcome: Outcome | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yield what a row must fulfil."""
        if self.since is not None:
            yield calls.c.started_at >= self.since
        if self.until is not None:
            yield calls.c.started_at < self.until
        if self.use_case is not None:
            yield calls.c.use_case == self.use_case
        if self.tier is not None:
            yield calls.c.tier == self.tier
        if self.outcome is not None:
            yield _OUTCOMES[self.outcome]


# --- writing --------------------------------------------------------------------------------


def append_events(connection: Connection, fresh: Sequence[GovernanceEvent]) -> None:
    """Append events; those that are there already stay as they are."""
    rows = [
        {"call_id": event.call_id, "sequence": event.sequence, "at": event.at, "kind": event.kind, "body": event.body}
        for event in fresh
    ]
    if rows:
        connection.execute(_insert_new(connection.dialect.name), rows)


def save_calls(connection: Connection, rows: Iterable[CallRow]) -> None:
    """Write what the fold decides of calls; what imports and scores wrote stays."""
    values = [{"call_id": row.call_id, **recorded(row)} for row in rows]
    if values:
        connection.execute(_upsert_call(connection.dialect.name), values)


def save_turns(connection: Connection, rows: Iterable[TurnRow]) -> None:
    """Write what the fold decides of turns; error counts of transcripts stay."""
    values = [{"call_id": row.call_id, "turn": row.turn, **recorded(row)} for row in rows]
    if values:
        connection.execute(_upsert_turn(connection.dialect.name), values)


def imported_mark(names: Iterable[str]) -> int:
    """Return what the column `imported` holds for columns that an import set; only events' own are marked."""
    return sum(1 << CORRECTED.index(name) for name in names if name in CORRECTED)


# Made once: putting such a statement together takes longer than running it.


@cache
def _insert_new(dialect: str) -> sqlite.Insert | postgresql.Insert:
    return _insert_into(dialect, events).on_conflict_do_nothing()


@cache
def _upsert_call(dialect: str) -> sqlite.Insert | postgresql.Insert:
    insert = _insert_into(dialect, calls)
    changed: dict[str, Any] = {name: insert.excluded[name] for name in RECORDED}
    for name in CORRECTED:
        is_imported = calls.c.imported.bitwise_and(imported_mark([name])) != 0
        changed[name] = case((is_imported, calls.c[name]), else_=insert.excluded[name])
    return insert.on_conflict_do_update(index_elements=("call_id",), set_=changed)


@cache
def _upsert_turn(dialect: str) -> sqlite.Insert | postgresql.Insert:
    insert = _insert_into(dialect, turns)
    changed = {name: insert.excluded[name] for name in RECORDED_TURN}
    return insert.on_conflict_do_update(index_elements=("call_id", "turn"), set_=changed)


def _insert_into(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    """Return an insert that knows ON CONFLICT, which both databases have and write alike."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


# --- reading --------------------------------------------------------------------------------


def events_of(connection: Connection, call_id: str) -> list[GovernanceEvent]:
    """Return the events of a call, in order."""
    found = select(events).where(events.c.call_id == call_id).order_by(events.c.sequence)
    return [GovernanceEvent(row.call_id, row.sequence, row.at, row.kind, row.body) for row in connection.execute(found)]


def call_of(connection: Connection, call_id: str) -> CallRow | None:
    """Return a call, None if there is none of that id."""
    row = connection.execute(select(calls).where(calls.c.call_id == call_id)).one_or_none()
    return None if row is None else call_row(row)


def turns_of(connection: Connection, call_id: str) -> list[TurnRow]:
    """Return the turns of a call, in order."""
    found = select(turns).where(turns.c.call_id == call_id).order_by(turns.c.turn)
    return [turn_row(row) for row in connection.execute(found)]


def turns_of_all(connection: Connection, call_ids: Sequence[str]) -> Iterator[TurnRow]:
    """Yield the turns of calls, in the order of their ids in `call_ids`."""
    of_call: dict[str, list[TurnRow]] = {call_id: [] for call_id in call_ids}
    found = select(turns).where(turns.c.call_id.in_(call_ids)).order_by(turns.c.turn)
    for row in connection.execute(found):
        of_call[row.call_id].append(turn_row(row))
    for rows in of_call.values():
        yield from rows


def newest_calls(connection: Connection, wanted: CallFilter, limit: int) -> list[CallRow]:
    """Return the latest calls, newest first."""
    found = select(calls).where(*wanted.conditions()).order_by(calls.c.started_at.desc(), calls.c.call_id).limit(limit)
    return [call_row(row) for row in connection.execute(found)]


def count_calls(connection: Connection, wanted: CallFilter) -> int:
    """Return how many calls there are of a kind."""
    return connection.execute(select(func.count()).select_from(calls).where(*wanted.conditions())).scalar_one()


def each_call(connection: Connection, wanted: CallFilter, *, batch: int = BATCH) -> Iterator[list[CallRow]]:
    """Yield calls in batches, oldest first, holding one batch in memory."""
    after: tuple[float, str] | None = None
    while True:
        found: Select[Any] = select(calls).where(*wanted.conditions())
        if after is not None:
            started_at, call_id = after
            # By place, not by number: calls that come in meanwhile shift nothing.
            found = found.where(
                calls.c.started_at >= started_at,
                or_(calls.c.started_at > started_at, calls.c.call_id > call_id),
            )
        rows = connection.execute(found.order_by(calls.c.started_at, calls.c.call_id).limit(batch)).all()
        if not rows:
            return
        yield [call_row(row) for row in rows]
        after = (rows[-1].started_at, rows[-1].call_id)


class KnownCall(NamedTuple):
    """What a call is for, and when it began, seconds since the epoch."""

    use_case: str
    started_at: float


def known_calls(connection: Connection, ids: Iterable[str]) -> dict[str, KnownCall]:
    """Return those of the ids that are calls."""
    wanted = list(dict.fromkeys(ids))
    columns = (calls.c.call_id, calls.c.use_case, calls.c.started_at)
    known: dict[str, KnownCall] = {}
    for start in range(0, len(wanted), BATCH):
        found = select(*columns).where(calls.c.call_id.in_(wanted[start : start + BATCH]))
        known.update((row.call_id, KnownCall(row.use_case, row.started_at)) for row in connection.execute(found))
    return known


def call_row(row: Row[Any]) -> CallRow:
    """Return a row of the table `calls` as a record."""
    values = row._mapping
    return CallRow(**{name: values[name] for name in CALL_FIELDS})


def turn_row(row: Row[Any]) -> TurnRow:
    """Return a row of the table `turns` as a record."""
    values = row._mapping
    return TurnRow(**{name: values[name] for name in TURN_FIELDS})


def call_document(call: CallRow) -> dict[str, Any]:
    """Return a call as people and programs are shown it: its columns, and whether it was contained."""
    return {**asdict(call), "contained": contained(call)}
