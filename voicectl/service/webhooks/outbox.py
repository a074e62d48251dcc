"""Events that are still to be delivered, in a SQLite file. Delivers nothing."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicectl.service.database import Database

SCHEMA_VERSION: Final = 1
SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS deliveries (seq INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL,"
    " endpoint TEXT NOT NULL, body BLOB NOT NULL, created_at REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,"
    " next_at REAL NOT NULL, UNIQUE (event_id, endpoint))",
    "CREATE INDEX IF NOT EXISTS deliveries_by_time ON deliveries (endpoint, next_at)",
)


@dataclass(frozen=True, slots=True)
class Letter:
    """An event for one receiver, ready to be sent."""

    event_id: str
    endpoint: str
    body: bytes
    created_at: float


@dataclass(frozen=True, slots=True)
class Delivery:
    """A letter in the outbox, and how often it was tried. Instants are seconds since the epoch."""

    seq: int
    event_id: str
    body: bytes
    created_at: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Due:
    """What can be sent to one receiver now; `next_at` is when the next of all the others can be, if there is one."""

    deliveries: tuple[Delivery, ...]
    next_at: float | None
    num_waiting: int


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of a round: these are done (delivered or given up), those are tried again at (seq, instant)."""

    done: Sequence[int]
    again: Sequence[tuple[int, float]]


class Outbox:
    """A durable queue with a bound. One process at a time may have it open."""

    def __init__(self, path: Path, *, max_deliveries: int, timeout_s: float) -> None:
        # Two gateways with one outbox would deliver everything twice; the second waits until the first ends.
        self._database = Database(path, SCHEMA, version=SCHEMA_VERSION, exclusive=True)
        self._max_deliveries = max_deliveries
        self._timeout_s = timeout_s

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    async def add(self, letters: Sequence[Letter]) -> dict[str, int]:
        """Keep the letters; return how many of the oldest went for them, by receiver. Raises StorageUnavailable."""

        def work(connection: sqlite3.Connection) -> dict[str, int]:
            connection.executemany(
                "INSERT OR IGNORE INTO deliveries (event_id, endpoint, body, created_at, next_at)"
                " VALUES (?, ?, ?, ?, ?)",
                [(each.event_id, each.endpoint, each.body, each.created_at, each.created_at) for each in letters],
            )
            (count,) = connection.execute("SELECT count(*) FROM deliveries").fetchone()
            if count <= self._max_deliveries:
                return {}
            gone = connection.execute(
                "SELECT seq, endpoint FROM deliveries ORDER BY seq LIMIT ?", (count - self._max_deliveries,)
            ).fetchall()
            connection.executemany("DELETE FROM deliveries WHERE seq = ?", [(seq,) for seq, _ in gone])
            return dict(Counter(endpoint for _, endpoint in gone))

        return await self._database.transact(work, timeout_s=self._timeout_s)

    async def due(self, endpoint: str, *, now: float, latest: float, limit: int) -> Due:
        """Return what can be sent to a receiver at `now`.

        Nothing is planned for later than `latest`: what seems to be was planned before the clock was set
        back, and is due. Raises StorageUnavailable.
        """

        def work(connection: sqlite3.Connection) -> Due:
            rows = connection.execute(
                "SELECT seq, event_id, body, created_at, attempts FROM deliveries"
                " WHERE endpoint = ? AND (next_at <= ? OR next_at > ?) ORDER BY seq LIMIT ?",
                (endpoint, now, latest, limit),
            ).fetchall()
            (next_at,) = connection.execute(
                "SELECT min(next_at) FROM deliveries WHERE endpoint = ? AND next_at > ?", (endpoint, now)
            ).fetchone()
            (count,) = connection.execute("SELECT count(*) FROM deliveries WHERE endpoint = ?", (endpoint,)).fetchone()
            return Due(tuple(Delivery(*row) for row in rows), next_at, count)

        return await self._database.transact(work, timeout_s=self._timeout_s)

    async def settle(self, settlement: Settlement) -> None:
        """Note what came of a round. Raises StorageUnavailable."""

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM deliveries WHERE seq = ?", [(seq,) for seq in settlement.done])
            connection.executemany(
                "UPDATE deliveries SET attempts = attempts + 1, next_at = ? WHERE seq = ?",
                [(next_at, seq) for seq, next_at in settlement.again],
            )

        await self._database.transact(work, timeout_s=self._timeout_s)

    async def clear(self, endpoint: str) -> int:
        """Drop everything for a receiver; return how much it was. Raises StorageUnavailable."""
        return await self._database.transact(
            lambda connection: connection.execute("DELETE FROM deliveries WHERE endpoint = ?", (endpoint,)).rowcount,
            timeout_s=self._timeout_s,
        )

    async def keep_only(self, endpoints: Collection[str]) -> int:
        """Drop everything for receivers that are no more; return how much it was. Raises StorageUnavailable."""
        marks = ", ".join("?" * len(endpoints))
        # Only question marks are put into the text.
        statement = f"DELETE FROM deliveries WHERE endpoint NOT IN ({marks})"  # noqa: S608
        return await self._database.transact(
            lambda connection: connection.execute(statement, tuple(endpoints)).rowcount, timeout_s=self._timeout_s
        )

    async def close(self) -> None:
        """Close the file."""
        await self._database.close(timeout_s=self._timeout_s)
