"""A database of call records opens private and up to date, or says why not."""

import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from tests.fakes.recorded_call import events_of_call, identity, store_at
from voicectl.core.errors import ConfigError
from voicectl.core.sections.governance import Governance
from voicectl.governance.store.errors import StoreRefused, StoreUnavailable
from voicectl.governance.store.location import PostgresServer, SqliteFile, location_of
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.schema import HEAD, MIGRATIONS, VERSION_TABLE
from voicectl.governance.store.store import open_store
from voicectl.governance.store.tables import metadata


def test_migrations_arrive_at_the_tables(tmp_path: Path) -> None:
    with open_store(SqliteFile(tmp_path / "records.db")) as store, store.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_latest_migration_is_the_one_that_is_looked_for() -> None:
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


def test_files_are_private_and_safe(tmp_path: Path) -> None:
    with open_store(SqliteFile(tmp_path / "new" / "records.db")) as store, store.read() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS}
    assert pragmas == PRAGMAS
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    assert modes == {0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1, "foreign_keys": 1, "auto_vacuum": 2}


def test_a_newer_schema_is_refused_with_exit_3(tmp_path: Path) -> None:
    with store_at(tmp_path) as store, store.write() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for create in (True, False):
        with pytest.raises(StoreRefused, match="9999 is newer") as refusal:
            open_store(SqliteFile(tmp_path / "records.db"), create=create)
        assert refusal.value.exit_code == 3


def test_readers_make_no_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no call records"):
        open_store(SqliteFile(tmp_path / "none.db"), create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_locked_database_is_told(tmp_path: Path) -> None:
    with store_at(tmp_path, timeout_s=0.02) as store:
        other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another program holds its lock"):
            CallRecords(store).append(events_of_call(identity()))
        other.close()
        CallRecords(store).append(events_of_call(identity()))


def test_a_full_database_is_told_and_takes_events_again_once_it_is_not(tmp_path: Path) -> None:
    with store_at(tmp_path) as store:
        records = CallRecords(store)
        with store.read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            for number in range(200):
                records.append(events_of_call(identity(f"sess_{number}")))
        with store.read() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count=1000000")
        records.append(events_of_call(identity("sess_after")))


def test_a_read_only_database_is_told(tmp_path: Path) -> None:
    with store_at(tmp_path) as store:
        with store.read() as connection:
            connection.exec_driver_sql("PRAGMA query_only=ON")
        with pytest.raises(StoreUnavailable, match="read-only"):
            CallRecords(store).append(events_of_call(identity()))


@pytest.mark.parametrize(
    "content", [b"this is a letter, and no database at all" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.db"
    path.write_bytes(content)
    with pytest.raises(StoreRefused, match="no database of call records"):
        open_store(SqliteFile(path))
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="file"):
        open_store(SqliteFile(tmp_path / "file" / "records.db"))


def test_urls_name_files_and_servers() -> None:
    assert location_of(Governance(url="sqlite:////srv/x.db")) == SqliteFile(Path("/srv/x.db"))
    url = "postgresql://voicectl@db.example/calls"
    assert location_of(Governance(url=url, password_file="/p")) == PostgresServer(url, Path("/p"))


@pytest.mark.parametrize(
    "url",
    ["sqlite:///x.db", "sqlite://host/x.db", "mysql://h/d", "postgresql://u:secret@h/d", "postgresql://h",
     "postgresql://h/d?password=secret", "sqlite:////"],
)  # fmt: skip
def test_urls_that_cannot_be_meant_or_hold_passwords_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url") as refusal:
        Governance(url=url)
    assert "ecret@" not in refusal.value.errors()[0]["msg"]  # type: ignore[attr-defined]
