"""Keeps conversations in a SQLite file of this host."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from voicectl.service.checkpoints.store import Entry
from voicectl.service.database import Database

SCHEMA_VERSION: Final = 1
SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS checkpoints (session_id TEXT PRIMARY KEY, saved_at REAL NOT NULL,"
    " expires_at REAL NOT NULL, encoded BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS checkpoints_by_expiry ON checkpoints (expires_at)",
)
# A gateway that comes back late must not overwrite what another has kept since. Beyond the grace the
# difference can only be a clock that was set, and the later write counts.
_WRITE: Final = (
    "INSERT INTO checkpoints (session_id, saved_at, expires_at, encoded)"
    " VALUES (:session_id, :saved_at, :expires_at, :encoded) ON CONFLICT (session_id) DO UPDATE SET"
    " saved_at = excluded.saved_at, expires_at = excluded.expires_at, encoded = excluded.encoded"
    " WHERE excluded.saved_at >= checkpoints.saved_at OR excluded.saved_at < checkpoints.saved_at - :grace_s"
)
_TRIM: Final = (
    "DELETE FROM checkpoints WHERE session_id IN"
    " (SELECT session_id FROM checkpoints ORDER BY expires_at DESC LIMIT -1 OFFSET ?)"
)


class SqliteStore:
    """A table of conversations, the newest `max_entries` of them."""

    def __init__(
        self,
        path: Path,
        *,
        grace_s: float,
        max_entries: int,
        timeout_s: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = Database(path, SCHEMA, version=SCHEMA_VERSION)
        self._grace_s = grace_s
        self._max_entries = max_entries
        self._timeout_s = timeout_s
        self._now = now

    @property
    def place(self) -> str:
        """The path of the file."""
        return str(self._database.path)

    async def write(self, entries: Sequence[Entry]) -> None:
        """Keep the entries in one transaction."""
        now = self._now()
        rows = [
            {
                "session_id": entry.session_id,
                "saved_at": entry.saved_at,
                "expires_at": now + self._grace_s,
                "encoded": entry.encoded,
                "grace_s": self._grace_s,
            }
            for entry in entries
        ]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(_WRITE, rows)
            (count,) = connection.execute("SELECT count(*) FROM checkpoints").fetchone()
            if count > self._max_entries:
                self._remove_expired(connection, now)
                connection.execute(_TRIM, (self._max_entries,))

        await self._database.transact(work, timeout_s=self._timeout_s)

    async def read(self, session_id: str) -> bytes | None:
        """Return what is kept of a session."""
        now = self._now()

        def work(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute(
                "SELECT encoded FROM checkpoints WHERE session_id = ? AND expires_at > ?", (session_id, now)
            ).fetchone()
            return bytes(row[0]) if row is not None else None

        return await self._database.transact(work, timeout_s=self._timeout_s)

    async def purge(self) -> None:
        """Remove what is over."""
        now = self._now()
        await self._database.transact(
            lambda connection: self._remove_expired(connection, now), timeout_s=self._timeout_s
        )

    async def close(self) -> None:
        """Close the file."""
        await self._database.close(timeout_s=self._timeout_s)

    def _remove_expired(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute("DELETE FROM checkpoints WHERE expires_at <= ?", (now,))
        # After a clock was set back, or the grace made shorter, nothing may stay longer than the grace.
        latest = now + self._grace_s
        connection.execute("UPDATE checkpoints SET expires_at = ? WHERE expires_at > ?", (latest, latest))
