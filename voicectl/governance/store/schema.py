"""Brings a database to the tables of this voicectl by Alembic's migrations, and refuses newer ones."""

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from voicectl.governance.store.errors import StoreRefused

HEAD: Final = "0001"
"""The latest migration. A test compares it with the folder, so that opening need not load Alembic."""
MIGRATIONS: Final = Path(__file__).parent / "migrations"
VERSION_TABLE: Final = "voicectl_schema"
_ADVISORY_LOCK: Final = 0x766F6963
"""Keeps two programs that migrate one PostgreSQL database apart."""


Transaction = Callable[[], AbstractContextManager[Connection]]


def bring_up(read: Transaction, write: Transaction, place: str) -> None:
    """Migrate a database in one transaction, unless it is up already. Raises StoreRefused for a newer schema."""
    with read() as connection:
        if revision_of(connection) == HEAD:
            return
    with write() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
        known = _known_revisions()
        found = revision_of(connection)
        if found is not None and found not in known:
            raise _newer(place, found)
        _upgrade(connection)


def check_revision(connection: Connection, place: str) -> None:
    """Raise StoreRefused unless the schema is that of this voicectl."""
    found = revision_of(connection)
    if found == HEAD:
        return
    if found is not None and found not in _known_revisions():
        raise _newer(place, found)
    raise StoreRefused(
        f"{place}: its schema is {found or 'missing'}, this voicectl needs {HEAD}",
        hint="start this version's `voicectl serve` once: it brings the schema up",
    )


def revision_of(connection: Connection) -> str | None:
    """Return the migration a database is at; None before the first."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # noqa: S608
    return None if found is None else str(found)


def _newer(place: str, found: str) -> StoreRefused:
    return StoreRefused(
        f"{place}: its schema {found} is newer than this voicectl, which knows up to {HEAD}",
        hint="use the voicectl that wrote it, or restore the copy from before its upgrade",
    )


def _known_revisions() -> frozenset[str]:
    from alembic.script import ScriptDirectory

    return frozenset(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())


def _upgrade(connection: Connection) -> None:
    # Alembic takes longer to import than most commands take in all.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        command.upgrade(config, "head")
