"""Takes away what was kept long enough: words first, then events, times, and in the end the calls."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, or_, select, update

from voicectl.core.sections.governance import Retention
from voicectl.governance.recording import kinds
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls, complaints, events, scores, turns, violations

BATCH: Final = 50
"""Calls a transaction: a gateway that records at the same time waits no longer than one of them takes."""
PAGES: Final = 256
"""Pages that the file gives back in one step: a megabyte."""
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


def prune(
    store: Store,
    retention: Retention,
    now: float,
    *,
    dry_run: bool = False,
    go_on: Callable[[], bool] = lambda: True,
) -> Pruned:
    """Take away what is older than its class allows, batch by batch, and give the space back.

    A call that goes on is left alone. With `dry_run` nothing changes, and what would is counted.
    `go_on` is asked after each batch, while nothing is locked: it may wait, or end the work.
    Raises StoreUnavailable.
    """
    pruner = _Pruner(store, now, dry_run, go_on)
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
        _give_back(store, go_on)
    return pruned


@dataclass(frozen=True, slots=True)
class _Pruner:
    store: Store
    now: float
    dry_run: bool
    go_on: Callable[[], bool]

    def sweep(
        self,
        days: float | None,
        wanted: Select[tuple[str]],
        forget: Callable[[Connection, list[str]], None],
    ) -> int:
        """Let `forget` take something away from all calls of a kind that are older than so many days."""
        if days is None:
            return 0
        old = wanted.where(calls.c.started_at < self.now - days * DAY_S)
        if self.dry_run:
            with self.store.read() as connection:
                return len(connection.execute(old).all())
        num_calls = 0
        found = old.add_columns(calls.c.started_at).order_by(calls.c.started_at, calls.c.call_id).limit(BATCH)
        after = found
        while True:
            # Looked for before the lock is taken: that may mean to read over many calls that have lost it already.
            with self.store.read() as connection:
                batch = connection.execute(after).all()
            if not batch:
                return num_calls
            with self.store.write() as connection:
                still = old.where(calls.c.call_id.in_([row.call_id for row in batch]))
                ids = [str(call_id) for (call_id,) in connection.execute(still)]
                forget(connection, ids)
            num_calls += len(ids)
            if not self.go_on():
                return num_calls
            last = batch[-1]
            after = found.where(
                calls.c.started_at >= last.started_at,
                or_(calls.c.started_at > last.started_at, calls.c.call_id > last.call_id),
            )


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


def _give_back(store: Store, go_on: Callable[[], bool]) -> None:
    """On SQLite, let the file shrink step by step, and overwrite what was deleted in the journal too."""
    if not store.is_sqlite:
        # PostgreSQL's autovacuum reuses the space.
        return
    with store.read() as connection:
        # None of these may run inside a transaction.
        connection.commit()
        raw = connection.connection.driver_connection
        assert raw is not None
        before, free = None, _num_free(raw)
        while free and free != before:
            raw.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
            before, free = free, _num_free(raw)
            if not go_on():
                break
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _num_free(raw: Any) -> int:
    return int(raw.execute("PRAGMA freelist_count").fetchone()[0])
