"""Takes away what was kept long enough: words first, then events, times, and in the end the calls."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, select, update

from voicectl.core.sections.governance import Retention
from voicectl.governance.recording import kinds
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls, complaints, events, scores, turns, violations

BATCH: Final = 200
"""Calls a transaction: a gateway that records at the same time waits no longer than one of them takes."""
MAX_BATCHES: Final = 5_000
DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many calls lost what."""

    num_texts: int = 0
    num_events: int = 0
    num_turns: int = 0
    num_calls: int = 0

    def __bool__(self) -> bool:
        return any((self.num_texts, self.num_events, self.num_turns, self.num_calls))


def prune(store: Store, retention: Retention, now: float, *, dry_run: bool = False) -> Pruned:
    """Take away what is older than its class allows, batch by batch, and give the space back.

    A call that goes on is left alone. With `dry_run` nothing changes, and what would is counted.
    Raises StoreUnavailable.
    """
    pruner = _Pruner(store, now, dry_run)
    ended = calls.c.ended_at.is_not(None)
    known = select(calls.c.call_id).where(ended)
    with_events = known.where(select(events.c.call_id).where(events.c.call_id == calls.c.call_id).exists())
    with_turns = known.where(select(turns.c.call_id).where(turns.c.call_id == calls.c.call_id).exists())
    pruned = Pruned(
        num_calls=pruner.sweep(retention.calls_days, known, _forget_calls),
        num_events=pruner.sweep(retention.events_days, with_events, _forget_events),
        num_turns=pruner.sweep(retention.turns_days, with_turns, _forget_turns),
        num_texts=pruner.sweep(
            retention.transcripts_days, known.where(calls.c.texts_pruned_at.is_(None)), _forget_words(now)
        ),
    )
    if pruned and not dry_run:
        _give_back(store)
    return pruned


@dataclass(frozen=True, slots=True)
class _Pruner:
    store: Store
    now: float
    dry_run: bool

    def sweep(
        self,
        days: float | None,
        wanted: Select[tuple[str]],
        forget: Callable[[Connection, list[str]], None],
    ) -> int:
        """Let `forget` take something away from all calls of a kind that are older than so many days."""
        if days is None:
            return 0
        old = wanted.where(calls.c.started_at < self.now - days * DAY_S).order_by(calls.c.started_at)
        if self.dry_run:
            with self.store.read() as connection:
                return len(connection.execute(old).all())
        num_calls = 0
        for _ in range(MAX_BATCHES):
            with self.store.write() as connection:
                ids = [str(call_id) for (call_id,) in connection.execute(old.limit(BATCH))]
                if not ids:
                    break
                forget(connection, ids)
            num_calls += len(ids)
        return num_calls


def _forget_calls(connection: Connection, ids: list[str]) -> None:
    for table in (events, turns, scores, complaints):
        connection.execute(delete(table).where(table.c.call_id.in_(ids)))
    # That something must not happen happened is kept as long as there is a database; which call it was is not.
    connection.execute(update(violations).where(violations.c.call_id.in_(ids)).values(call_id=None, detail=None))
    connection.execute(delete(calls).where(calls.c.call_id.in_(ids)))


def _forget_events(connection: Connection, ids: list[str]) -> None:
    connection.execute(delete(events).where(events.c.call_id.in_(ids)))


def _forget_turns(connection: Connection, ids: list[str]) -> None:
    connection.execute(delete(turns).where(turns.c.call_id.in_(ids)))


def _forget_words(now: float) -> Callable[[Connection, list[str]], None]:
    def forget(connection: Connection, ids: list[str]) -> None:
        connection.execute(update(turns).where(turns.c.call_id.in_(ids)).values(transcript=None, reply=None))
        connection.execute(update(scores).where(scores.c.call_id.in_(ids)).values(explanation=None))
        worded = select(events).where(events.c.call_id.in_(ids), events.c.kind.in_(_WITH_WORDS))
        for row in connection.execute(worded).all():
            changed = update(events).where(events.c.call_id == row.call_id, events.c.sequence == row.sequence)
            connection.execute(changed.values(body=_without_words(row.body)))
        connection.execute(update(calls).where(calls.c.call_id.in_(ids)).values(texts_pruned_at=now))

    return forget


_WITH_WORDS: Final = (*kinds.WORDED, kinds.STARTED, kinds.RESUMED, kinds.EVENTS_LOST)


def _without_words(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in (kinds.WORDS, kinds.ATTRIBUTES)}


def _give_back(store: Store) -> None:
    """On SQLite, overwrite what was deleted in the journal too, and let the file shrink."""
    if not store.is_sqlite:
        # PostgreSQL's autovacuum reuses the space.
        return
    with store.read() as connection:
        # Neither may run inside a transaction.
        connection.commit()
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA incremental_vacuum").fetchall()
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
