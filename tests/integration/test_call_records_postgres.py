"""Call records in a real PostgreSQL: the same rows as in SQLite, and calls that go on while it is gone."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from structlog.testing import capture_logs

from tests.fakes.conversation import eventually
from tests.fakes.postgres import Postgres, postgres
from tests.fakes.recorded_call import events_of_call, identity, scribe, store_at, turn, whole_call
from voicectl.core.errors import ConfigError
from voicectl.core.sections.governance import Governance, Retention
from voicectl.governance.store.errors import RowsRejected, StoreRefused, StoreUnavailable
from voicectl.governance.store.export import export_rows
from voicectl.governance.store.imports import ImportRefused, import_file
from voicectl.governance.store.location import PostgresServer
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.retention import prune
from voicectl.governance.store.rows import CallFilter, call_of, events_of, newest_calls, turns_of
from voicectl.governance.store.schema import HEAD, VERSION_TABLE
from voicectl.governance.store.store import Store, open_store
from voicectl.governance.store.tables import metadata
from voicectl.service.recording.recorder import Recorder
from voicectl.service.recording.retainer import Retainer
from voicectl.service.recording.scribe import Began, Noted
from voicectl.service.recording.spill import Spill
from voicectl.service.recording.writer import Writer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture
def store(server: Postgres) -> Iterator[Store]:
    server.execute("DROP SCHEMA public CASCADE")
    server.execute("CREATE SCHEMA public")
    with opened(server) as fresh:
        yield fresh


def opened(server: Postgres, *, create: bool = True, timeout_s: float = 3.0) -> Store:
    return open_store(PostgresServer(server.url, server.password_file), timeout_s=timeout_s, create=create)


def test_migrations_arrive_at_the_tables(store: Store) -> None:
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_rows_are_those_of_sqlite(store: Store, tmp_path: Path) -> None:
    events = [event for number in range(5) for event in events_of_call(identity(f"sess_{number}"), turns=3)]
    with store_at(tmp_path) as file:
        for place in (store, file):
            records = CallRecords(place)
            records.append(events[:13])
            records.append(events[5:])
        with store.read() as one, file.read() as other:
            assert newest_calls(one, CallFilter(), 10) == newest_calls(other, CallFilter(), 10)
            for number in range(5):
                assert turns_of(one, f"sess_{number}") == turns_of(other, f"sess_{number}")
                assert events_of(one, f"sess_{number}") == events_of(other, f"sess_{number}")


def test_a_server_that_is_killed_in_mid_call_costs_nothing_but_time(
    server: Postgres, store: Store, tmp_path: Path
) -> None:
    at = [0.0]
    call = identity()
    seen = whole_call(call, turns=6)
    writer = Writer(scribe(), lambda: opened(server), Spill(tmp_path, max_bytes=1_000_000), now=lambda: at[0])
    with capture_logs() as logs:
        writer.begin()
        writer.write(seen[:6])
        server.stop()
        writer.write(seen[6:10])
        assert writer.state == "spilling"
        writer.write(seen[10:14])
        server.start()
        at[0] += 100
        writer.write(seen[14:])
        assert (writer.state, writer.counts.num_lost) == ("ok", 0)
        writer.close()
    with store.read() as connection:
        row = call_of(connection, "sess_1")
        assert [event.sequence for event in events_of(connection, "sess_1")] == list(range(14))
    assert row is not None
    assert (row.num_turns, row.incomplete, row.end_reason) == (6, False, "caller-hung-up")
    assert server.password not in str(logs)


async def test_a_server_that_hangs_costs_no_event_and_is_told_of(
    server: Postgres, store: Store, tmp_path: Path
) -> None:
    """Its processes are stopped in mid-call, as by a host that thrashes; the gateway ends, the next one goes on."""
    call = identity()
    seen = whole_call(call, turns=6)
    wanted = Governance(commit_interval_s=0.01, storage_s=0.5, flush_s=0.5)

    def recorder() -> Recorder:
        by = scribe()
        spill = Spill(tmp_path, max_bytes=1_000_000)
        writer = Writer(by, lambda: opened(server, timeout_s=0.5), spill, patience_s=0.5)
        return Recorder(wanted, writer, by, Retainer(wanted.retention, lambda: opened(server)))

    async with recorder() as first:
        for noted in seen[:6]:
            first.offer(noted)
        await eventually(lambda: first.health().counts.num_stored > 0)
        with server.hanging():
            for noted in seen[6:]:
                first.offer(noted)
            async with asyncio.timeout(10):
                await eventually(lambda: first.health().state == "spilling")
                await first.close()
            assert first.health().counts.num_lost == 0
            assert first.health().num_queued == 0
            assert first.health().spilled_bytes > 0
    async with recorder() as second:
        await eventually(lambda: second.health().counts.num_replayed > 0)
    with store.read() as connection:
        row = call_of(connection, "sess_1")
        events = events_of(connection, "sess_1")
    assert [event.sequence for event in events] == list(range(14))
    assert row is not None
    assert (row.num_turns, row.incomplete, row.end_reason) == (6, False, "caller-hung-up")


def test_a_server_that_hangs_is_given_up_in_time(server: Postgres, store: Store) -> None:
    with opened(server, timeout_s=0.3) as impatient:
        CallRecords(impatient).append(events_of_call(identity())[:2])
        with server.hanging(), pytest.raises(StoreUnavailable, match="time"):
            CallRecords(impatient).append(events_of_call(identity()))
        CallRecords(impatient).append(events_of_call(identity()))


def test_a_locked_table_is_waited_for_no_longer_than_allowed(server: Postgres, store: Store) -> None:
    with open_store(PostgresServer(server.url, server.password_file), timeout_s=0.2) as impatient, store.write() as one:
        one.exec_driver_sql("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match=r"lock|in time"):
            CallRecords(impatient).append(events_of_call(identity()))


def test_a_read_only_server_is_named_so(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="read-only"), store.write() as connection:
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql("DELETE FROM calls")


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("ALTER TABLE events RENAME COLUMN body TO content", "ALTER TABLE events RENAME COLUMN content TO body"),
        ("ALTER TABLE turns RENAME TO rounds", "ALTER TABLE rounds RENAME TO turns"),
    ],
)
def test_a_schema_that_is_changed_meanwhile_refuses_no_events(
    server: Postgres, store: Store, tmp_path: Path, change: str, back: str
) -> None:
    at = [0.0]
    seen = whole_call(identity())
    writer = Writer(scribe(), lambda: opened(server), Spill(tmp_path, max_bytes=1_000_000), now=lambda: at[0])
    writer.write(seen[:2])
    server.execute(change)
    writer.write(seen[2:])
    assert (writer.state, writer.counts.num_refused) == ("spilling", 0)
    assert "its schema is not that of this voicectl" in str(writer.last_error)
    server.execute(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    at[0] += 100
    writer.write([])
    assert "newer than this voicectl" in str(writer.last_error)
    server.execute(f"UPDATE {VERSION_TABLE} SET version_num = '{HEAD}'")
    server.execute(back)
    at[0] += 100
    writer.write([])
    writer.close()
    with store.read() as connection:
        assert len(events_of(connection, "sess_1")) == 6


def test_what_a_server_says_at_the_door_has_its_hint(server: Postgres, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-this\n")
    none = server.url.replace("/postgres", "/none")
    stranger = server.url.replace("voicectl@", "nobody@")
    for url, file, hint in ((server.url, wrong, "password_file"), (none, server.password_file, "createdb")):
        with pytest.raises(StoreUnavailable) as refused:
            open_store(PostgresServer(url, file))
        assert hint in str(refused.value.hint)
    with pytest.raises(StoreUnavailable) as refused:
        open_store(PostgresServer(stranger, wrong))
    assert "password" in str(refused.value.hint)
    server.execute("CREATE ROLE guest LOGIN PASSWORD 'guest' CONNECTION LIMIT 0")
    guest = tmp_path / "guest"
    guest.write_text("guest\n")
    with pytest.raises(StoreUnavailable) as refused:
        open_store(PostgresServer(server.url.replace("voicectl@", "guest@"), guest))
    assert "max_connections" in str(refused.value.hint)


def test_wrong_passwords_and_absent_servers_are_told_without_secrets(server: Postgres, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-this\n")
    with pytest.raises(StoreUnavailable) as refused:
        open_store(PostgresServer(server.url, wrong))
    assert "password" in refused.value.message
    assert "not-this" not in f"{refused.value.message}{refused.value.hint}"
    with pytest.raises(StoreUnavailable):
        open_store(PostgresServer("postgresql://voicectl@127.0.0.1:1/none", wrong))
    with pytest.raises(ConfigError, match="No such file"):
        open_store(PostgresServer(server.url, tmp_path / "none"))


def test_a_newer_schema_is_refused_and_a_missing_one_is_not_made_by_readers(server: Postgres, store: Store) -> None:
    with store.write() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreRefused, match="newer"):
        opened(server)
    with store.write() as connection:
        connection.exec_driver_sql(f"DROP TABLE {VERSION_TABLE}")
    with pytest.raises(StoreRefused, match="missing"):
        opened(server, create=False)


def test_exports_imports_and_pruning_work_alike(store: Store, tmp_path: Path) -> None:
    CallRecords(store).append(events_of_call(identity()))
    file = tmp_path / "outcomes.jsonl"
    file.write_text('{"call_id": "sess_1", "resolved": true, "csat": 4}\n')
    assert not import_file(store, "outcomes", file, now=1.0).already
    assert import_file(store, "outcomes", file, now=2.0).already
    strange = tmp_path / "strange.jsonl"
    strange.write_text('{"call_id": "sess_9", "resolved": true}\n')
    with pytest.raises(ImportRefused, match="row 1: there is no call sess_9"):
        import_file(store, "outcomes", strange, now=1.0)
    assert export_rows(store, "calls", CallFilter(outcome="resolved"), tmp_path / "calls.csv", "csv") == 1
    assert prune(store, Retention(), 1_760_000_000.0 + 100 * 86_400).num_texts == 1
    with store.read() as connection:
        assert [row.transcript for row in turns_of(connection, "sess_1")] == [None, None]


def test_rows_it_refuses_are_told_from_a_server_that_is_gone(store: Store) -> None:
    records = CallRecords(store)
    with pytest.raises(RowsRejected):
        records.append(events_of_call(identity("sess_" + "x" * 100)))
    writer_events = scribe().write(Noted(identity(), Began(), 0.0))
    records.append(writer_events)
    assert turn(identity(), 1)
