"""One SQLite file on a thread of its own: private, durable past a killed process. Knows no tables."""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import structlog

from voicectl.core.errors import VoicectlError

log = structlog.get_logger(__name__)

T = TypeVar("T")

BUSY_S: Final = 1.0
"""How long SQLite itself waits for another process that writes."""
WAL_LIMIT_BYTES: Final = 8 * 1024 * 1024
ASIDE: Final = ".unreadable"
"""Suffix of a file that could not be read. There is one at most: what is in it may be confidential."""
_UNREADABLE_CODES: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class StorageUnavailable(VoicectlError):
    """A store did not take or give what it was asked; names the store and the reason."""

    exit_code = 3

    def __init__(self, place: Path | str, reason: str) -> None:
        super().__init__(f"{place}: {reason}", hint="check that it runs, its permissions and its free space")
        self.place = place
        self.reason = reason


class _OtherSchema(sqlite3.DatabaseError):
    """The file was written by another version."""


class Database:
    """Transactions on one file, one at a time. Opens it at the first one, and again after a failure.

    A file that is no database, is damaged or has another schema `version` is renamed aside and a fresh one
    begun. `exclusive` keeps other processes out for as long as the file is open; the operating system
    ends that with the process.
    """

    def __init__(self, path: Path, schema: Sequence[str], *, version: int, exclusive: bool = False) -> None:
        self.path = path
        self._schema = schema
        self._version = version
        self._exclusive = exclusive
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sqlite-{path.stem}")
        self._connection: sqlite3.Connection | None = None

    async def transact(self, work: Callable[[sqlite3.Connection], T], *, timeout_s: float) -> T:
        """Run `work` in a transaction on the file's thread. Raises StorageUnavailable.

        After a timeout the transaction may still be committed.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                return await loop.run_in_executor(self._thread, self._transact, work)
        except TimeoutError as error:
            raise StorageUnavailable(self.path, f"no answer within {timeout_s:g} s") from error

    async def close(self, *, timeout_s: float) -> None:
        """Close the file; nothing may be run afterwards."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                await loop.run_in_executor(self._thread, self._disconnect)
        except TimeoutError:
            log.warning("database_close_timed_out", path=str(self.path), timeout_s=timeout_s)
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    # --- on the file's thread --------------------------------------------------------------------

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            try:
                return self._attempt(work)
            except sqlite3.DatabaseError as error:
                if not _is_unreadable(error):
                    raise
                self._set_aside(error)
                return self._attempt(work)
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            raise StorageUnavailable(self.path, str(error)) from error

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.execute("BEGIN IMMEDIATE")
        with self._connection:
            return work(self._connection)

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            # SQLite gives its journals the permissions of the file, so they must be right from the start.
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        if self.path.stat().st_mode & 0o077:
            self.path.chmod(0o600)
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if self._exclusive:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        # A commit survives the process; only a host that loses power may lose the last ones.
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute(f"PRAGMA journal_size_limit={WAL_LIMIT_BYTES}")
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found not in (0, self._version):
                raise _OtherSchema(f"schema version {found}, this voicectl knows {self._version}")
            for statement in self._schema:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={self._version}")

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        self._disconnect()
        aside = self.path.with_name(self.path.name + ASIDE)
        log.error("database_set_aside", path=str(self.path), aside=str(aside), error=str(error))
        for suffix in ("-shm", "-wal", ""):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").replace(f"{aside}{suffix}")

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _is_unreadable(error: sqlite3.DatabaseError) -> bool:
    """Whether the file, and not the moment, is what is wrong. The low byte is SQLite's primary code."""
    code = getattr(error, "sqlite_errorcode", 0)
    return isinstance(error, _OtherSchema) or (code & 0xFF) in _UNREADABLE_CODES
