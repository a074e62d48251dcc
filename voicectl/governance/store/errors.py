"""What can be wrong with a database of call records, in words: locked, full, read-only, gone, of another schema."""

import errno
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import exc

from voicectl.core.errors import ConfigError


class StoreUnavailable(ConfigError):
    """The database did not take or give what it was asked, and may do so later."""


class StoreRefused(ConfigError):
    """The database cannot be used by this voicectl at all."""


class RowsRejected(ConfigError):
    """The database is well, and refuses these rows."""


LOCKED: Final = "another program holds its lock"
_SQLITE: Final[dict[int, tuple[str, str]]] = {
    sqlite3.SQLITE_BUSY: (LOCKED, "end the program that has it open, or try again in a moment"),
    sqlite3.SQLITE_LOCKED: (LOCKED, "end the program that has it open, or try again in a moment"),
    sqlite3.SQLITE_FULL: ("the disk is full", "free some space: df -h"),
    sqlite3.SQLITE_READONLY: ("it is read-only", "run as the user the gateway runs as, and check ls -l"),
    sqlite3.SQLITE_PERM: ("it may not be opened", "run as the user the gateway runs as, and check ls -l"),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", "check that the folder exists and its permissions: ls -l"),
    sqlite3.SQLITE_IOERR: ("the disk reports an error", "look at `dmesg`, and restore the file from a backup"),
}
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_POSTGRES: Final[dict[str, tuple[str, str]]] = {
    "25006": ("it is read-only", "name the primary server, not a standby"),
    "42501": ("the user may not do that", "GRANT the user what it needs on the database and its schema"),
    "53100": ("the disk is full", "free some space on the server"),
    "53300": ("it has no connection left", "raise max_connections on the server"),
    "55P03": (LOCKED, "look at pg_locks for who waits for whom"),
    "57014": ("it did not answer in time", "look at pg_stat_activity for what it does instead"),
    "28P01": ("it refuses the password", "check governance.password_file or PGPASSWORD"),
    "28000": ("it refuses the user", "check the user in governance.url and pg_hba.conf"),
    "3D000": ("there is no such database", "create it: createdb NAME"),
}
_TOLD_AT_THE_DOOR: Final = (
    # The driver gives no code for what a server says before a connection is there.
    (re.compile(r'database ".*" does not exist'), "3D000"),
    (re.compile(r"password authentication failed|no password supplied"), "28P01"),
    (re.compile(r'role ".*" does not exist|no pg_hba.conf entry|is not permitted to log in'), "28000"),
    (re.compile(r"too many clients|too many connections|connection slots are reserved"), "53300"),
)
_ABOUT_ROWS: Final = ("22", "23")
"""Classes of SQLSTATE, data exceptions and violated constraints: the same rows will be refused again."""
_TROUBLE: Final = (exc.DBAPIError, exc.TimeoutError, sqlite3.Error)


@contextmanager
def explained(place: object) -> Iterator[None]:
    """Turn what a database driver raises into StoreUnavailable, StoreRefused or RowsRejected."""
    try:
        yield
    except OSError as error:
        problem = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
        raise StoreUnavailable(f"{place}: {problem}", hint="check the folder, its owner and its free space") from error
    except _TROUBLE as error:
        raise explanation(place, error) from error


def explanation(place: object, error: Exception) -> StoreUnavailable | StoreRefused | RowsRejected:
    """Return what an error of a driver means."""
    cause = getattr(error, "orig", None) or error
    state = _sqlstate(cause)
    if isinstance(error, exc.IntegrityError | exc.DataError | exc.ProgrammingError) and (
        # Without a code it is the driver that cannot make values of the rows.
        not state or state.startswith(_ABOUT_ROWS)
    ):
        return RowsRejected(f"{place}: {_brief(cause)}")
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(place, cause)
    problem, hint = _POSTGRES.get(state, (_brief(cause), "check that it runs and can be reached"))
    if state.startswith("42") and state not in _POSTGRES:
        problem, hint = f"its schema is not that of this voicectl: {problem}", "end what changes it, or restore it"
    return StoreUnavailable(f"{place}: {problem}", hint=hint)


def _of_sqlite(place: object, error: sqlite3.Error) -> StoreUnavailable | StoreRefused:
    # The low byte is SQLite's primary code.
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if code in _DAMAGED:
        return StoreRefused(
            f"{place}: this is no database of call records, or it is damaged: {error}",
            hint="restore it from a backup, or name another file as governance.url",
        )
    problem, hint = _SQLITE.get(code, (_brief(error), "check the file, its owner and its free space"))
    return StoreUnavailable(f"{place}: {problem}", hint=hint)


def _sqlstate(cause: BaseException) -> str:
    told = getattr(cause, "sqlstate", None)
    if told:
        return str(told)
    words = "" if isinstance(cause, sqlite3.Error) else str(cause)
    return next((state for pattern, state in _TOLD_AT_THE_DOOR if pattern.search(words)), "")


def _brief(cause: BaseException) -> str:
    """Return the first line of a driver's message: the next ones may quote the row."""
    lines = str(cause).strip().splitlines()
    return lines[0][:300] if lines else type(cause).__name__
