"""An open database of governance: SQLite or PostgreSQL, brought to the schema of this voicectl. Knows no rows."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from voicectl.core.errors import ConfigError
from voicectl.governance.store.errors import StoreUnavailable, explained
from voicectl.governance.store.location import Location, PostgresServer, SqliteFile
from voicectl.governance.store.schema import bring_up, check_revision

WAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
MAX_PASSWORD_BYTES: Final = 4096
_IMMEDIATE: Final = "voicectl_immediate"
"""Execution option of connections whose transactions will write."""


class Store:
    """A database of governance. Safe to use from several threads; each `read` and `write` has a connection of its own.

    Both raise StoreUnavailable, StoreRefused or RowsRejected for what goes wrong inside.
    """

    def __init__(self, engine: Engine, place: str, file: Path | None = None) -> None:
        self.engine: Final = engine
        self.place: Final = place
        self._file = file
        self._inode = None if file is None else _inode_of(file)
        self._writer = engine.execution_options(**{_IMMEDIATE: True})

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of this host."""
        return self.engine.dialect.name == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database."""
        with explained(self.place), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a connection whose transaction is committed in the end, or rolled back by an error.

        On SQLite it takes the lock at once: one that reads first and writes later could not wait for it.
        """
        with explained(self.place):
            if self._file is not None and _inode_of(self._file) != self._inode:
                # Its connections still reach the old file, which nobody will read again.
                raise StoreUnavailable(
                    f"{self.place}: it was moved or removed", hint="put it back; the gateway makes a new one until then"
                )
            with self._writer.begin() as connection:
                yield connection

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_store(location: Location, *, timeout_s: float = 5.0, create: bool = True) -> Store:
    """Open the database, make it where there is none, and bring its schema up.

    With `create` False one that does not exist is an error, and an old schema is. `timeout_s` bounds each
    wait for a lock and each statement. Raises StoreUnavailable, or StoreRefused for a newer schema.
    """
    match location:
        case SqliteFile(path):
            store = Store(_sqlite_engine(path, timeout_s, create=create), str(location), path)
        case PostgresServer():
            store = Store(_postgres_engine(location, timeout_s), str(location))
    try:
        if create:
            bring_up(store.read, store.write, store.place)
        else:
            with store.read() as connection:
                check_revision(connection, store.place)
    except BaseException:
        store.close()
        raise
    return store


# --- SQLite ---------------------------------------------------------------------------------


def _sqlite_engine(path: Path, timeout_s: float, *, create: bool) -> Engine:
    if not create and not path.is_file():
        raise ConfigError(
            f"{path}: there are no call records", hint="they begin with the first call of `voicectl serve`"
        )
    with explained(path):
        if create:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                # SQLite gives its journals the permissions of the file, so they must be right from the start.
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        if path.stat().st_mode & 0o077 and os.access(path, os.W_OK):
            path.chmod(0o600)
    engine = create_engine(
        URL.create("sqlite", database=str(path)), connect_args={"timeout": timeout_s}, hide_parameters=True
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _inode_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver would begin transactions by itself, late and never around DDL.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        # Only before the first table: pruned pages can be given back without rewriting the file.
        "auto_vacuum=INCREMENTAL",
        "journal_mode=WAL",
        # A commit survives a host that loses power.
        "synchronous=FULL",
        "foreign_keys=ON",
        # What was deleted is overwritten, not only forgotten.
        "secure_delete=ON",
        f"journal_size_limit={WAL_LIMIT_BYTES}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(_IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


# --- PostgreSQL -----------------------------------------------------------------------------


def _postgres_engine(location: PostgresServer, timeout_s: float) -> Engine:
    milliseconds = max(1, round(timeout_s * 1000))
    engine = create_engine(
        make_url(location.url).set(drivername="postgresql+psycopg"),
        connect_args={
            "connect_timeout": max(2, round(timeout_s)),
            "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds} -c timezone=UTC",
            # A server that vanished is noticed by the kernel, not by a thread that waits for ever.
            "tcp_user_timeout": 2 * milliseconds,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "application_name": "voicectl",
        },
        pool_pre_ping=True,
        pool_size=4,
        hide_parameters=True,
    )

    def connected(_dialect: Any, _record: Any, arguments: Any, parameters: dict[str, Any]) -> Any:
        # Loaded only for those who have one.
        from voicectl.governance.store import postgres

        # At every connection: a changed password needs no restart.
        if location.password_file is not None:
            parameters["password"] = _password(location.password_file)
        return postgres.connect(*arguments, patience_s=timeout_s + postgres.MARGIN_S, **parameters)

    event.listen(engine, "do_connect", connected)
    return engine


def _password(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_PASSWORD_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="check governance.password_file") from error
    if len(text) > MAX_PASSWORD_BYTES or not text.strip():
        raise ConfigError(f"{path}: holds no password", hint="the file holds the password and nothing else")
    return text.decode("utf-8", "replace").strip()
