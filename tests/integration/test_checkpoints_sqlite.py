"""Conversations in a SQLite file: kept past a killed process, a damaged file and a full disk."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.fakes.checkpoint_store import conversation
from tests.fakes.conversation import eventually
from voicectl.core.sections.checkpoints import Checkpoints
from voicectl.service.checkpoints.keeper import CheckpointKeeper
from voicectl.service.checkpoints.open import checkpoint_keeper, checkpoint_store
from voicectl.service.checkpoints.sqlite_store import SqliteStore
from voicectl.service.checkpoints.store import Entry
from voicectl.service.database import ASIDE, Database, StorageUnavailable

pytestmark = pytest.mark.integration


def keeper_at(path: Path, **settings: float) -> CheckpointKeeper:
    keeper = checkpoint_keeper(Checkpoints.model_validate({"url": f"sqlite://{path}", **settings}))
    assert keeper is not None
    return keeper


def file_mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class Epoch:
    """A calendar clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 1e9

    def __call__(self) -> float:
        return self.at


def store_at(path: Path, now: Epoch, *, grace_s: float = 100, max_entries: int = 10) -> SqliteStore:
    return SqliteStore(path, grace_s=grace_s, max_entries=max_entries, timeout_s=5, now=now)


async def test_a_conversation_outlives_the_gateway(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "c.db"
    async with keeper_at(path) as keeper:
        keeper.save(conversation(turns=2))
    async with keeper_at(path) as keeper:
        assert await keeper.load("sess_1", "key") == conversation(turns=2)
        assert await keeper.load("sess_1", "other") is None
        assert await keeper.load("sess_1", None) is None
        assert await keeper.load("sess_2", "key") is None


async def test_only_the_owner_of_the_process_may_read_the_files(tmp_path: Path) -> None:
    path = tmp_path / "kept" / "c.db"
    before = os.umask(0)
    try:
        async with keeper_at(path) as keeper:
            keeper.save(conversation())
            await eventually(lambda: keeper.health().num_written == 1)
            assert file_mode(path.parent) == 0o700
            assert {name.name: file_mode(name) for name in path.parent.iterdir()} == {
                "c.db": 0o600,
                "c.db-wal": 0o600,
                "c.db-shm": 0o600,
            }
    finally:
        os.umask(before)


async def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.touch(0o644)
    async with keeper_at(path) as keeper:
        await eventually(lambda: keeper.health().state == "ok" and file_mode(path) == 0o600)


def test_the_default_file_is_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path))
    assert checkpoint_store(Checkpoints()).place == str(tmp_path / "checkpoints" / "checkpoints.db")
    assert checkpoint_keeper(Checkpoints(enabled=False)) is None


WRITER = """
import asyncio, sys, time
from pathlib import Path
from tests.fakes.checkpoint_store import conversation
from tests.integration.test_checkpoints_sqlite import keeper_at

async def main():
    async with keeper_at(Path(sys.argv[1])) as keeper:
        for turns in range(1, 10_000):
            keeper.save(conversation(turns=turns))
            print(turns, time.monotonic(), flush=True)
            await asyncio.sleep(0.005)

asyncio.run(main())
"""


def write_until_killed(path: Path) -> list[tuple[int, float]]:
    """Return which states a process handed to its keeper, and when, until it was killed."""
    saved: list[tuple[int, float]] = []
    with subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            turns, at = line.split()
            saved.append((int(turns), float(at)))
            if len(saved) == 100:
                child.send_signal(signal.SIGKILL)
    return saved


async def test_a_killed_process_loses_at_most_what_it_saved_just_before(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    saved = write_until_killed(path)
    killed_at = saved[-1][1]
    async with keeper_at(path) as keeper:
        state = await keeper.load("sess_1", "key")
    assert state is not None
    kept = len(state.items) // 2
    # Two busy cores: what was handed over a good while before the end must be there.
    assert kept >= max((turns for turns, at in saved if at < killed_at - 0.25), default=0)
    assert kept > 1


async def test_a_file_that_is_no_database_is_renamed_aside_and_a_fresh_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(b"this is no database" * 500)
    with capture_logs() as logs:
        async with keeper_at(path) as keeper:
            keeper.save(conversation())
            await eventually(lambda: keeper.health().num_written == 1)
            assert keeper.health().state == "ok"
            assert await keeper.load("sess_1", "key") == conversation()
    assert [entry["event"] for entry in logs] == ["database_set_aside"]
    assert (tmp_path / f"c.db{ASIDE}").read_bytes().startswith(b"this is no database")


async def test_a_file_damaged_in_the_middle_is_renamed_aside(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    async with keeper_at(path, max_pending=1000) as keeper:
        for number in range(200):
            keeper.save(conversation(f"sess_{number}", turns=20))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with capture_logs() as logs:
        async with keeper_at(path) as keeper:
            assert await keeper.load("sess_7", "key") is None
            keeper.save(conversation("sess_new"))
            await eventually(lambda: keeper.health().num_written == 1)
            assert keeper.health().state == "ok"
    assert [entry["event"] for entry in logs] == ["database_set_aside"]


async def test_a_file_of_another_version_is_renamed_aside(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=7")
    connection.execute("CREATE TABLE checkpoints (other TEXT)")
    connection.close()
    with capture_logs() as logs:
        async with keeper_at(path) as keeper:
            keeper.save(conversation())
            await eventually(lambda: keeper.health().num_written == 1)
    assert "version 7" in logs[0]["error"]


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "c.db").touch()
    async with keeper_at(tmp_path / "c.db") as keeper:
        keeper.save(conversation())
        await eventually(lambda: keeper.health().num_written == 1)


async def test_a_folder_that_cannot_be_written_is_reported_and_used_once_it_can(tmp_path: Path) -> None:
    blocker = tmp_path / "kept"
    blocker.write_text("a file where the folder should be")
    with capture_logs() as logs:
        async with keeper_at(blocker / "c.db") as keeper:
            keeper.save(conversation())
            await eventually(lambda: keeper.health().num_failed_writes > 0)
            assert keeper.health().state == "failing"
            blocker.unlink()
            await eventually(lambda: keeper.health().num_written == 1)
            assert keeper.health().state == "ok"
    assert [entry["event"] for entry in logs] == ["checkpoints_failing", "checkpoints_recovered"]


FULL = """
import asyncio, resource, sys
from dataclasses import replace
from pathlib import Path
from structlog.testing import capture_logs
from tests.fakes.checkpoint_store import conversation
from tests.fakes.conversation import eventually
from tests.integration.test_checkpoints_sqlite import keeper_at

async def main():
    with capture_logs() as logs:
        async with keeper_at(Path(sys.argv[1])) as keeper:
            keeper.save(conversation("first"))
            await eventually(lambda: keeper.health().num_written == 1)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
            for number in range(50):
                keeper.save(conversation(f"sess_{number}", turns=50))
            await eventually(lambda: keeper.health().state == "failing")
            assert await keeper.load("first", "key") is not None
            assert await keeper.load("sess_49", "key") is not None
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            await eventually(lambda: keeper.health().num_pending == 0, within_s=20)
            assert keeper.health().state == "ok"
    print([entry["event"] for entry in logs])

asyncio.run(main())
"""


def test_a_disk_without_space_is_reported_and_nothing_is_lost_once_there_is_some(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, tmp_path / "c.db"]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert child.returncode == 0, child.stderr
    assert child.stdout.strip() == "['checkpoints_failing', 'checkpoints_recovered']"


async def test_two_processes_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    async with keeper_at(path) as first, keeper_at(path) as second:
        for number in range(50):
            (first if number % 2 else second).save(conversation(f"sess_{number}"))
        await eventually(lambda: first.health().num_pending + second.health().num_pending == 0)
        states = await asyncio.gather(*(first.load(f"sess_{number}", "key") for number in range(50)))
        assert all(state is not None for state in states)


async def test_clients_that_come_back_at_once_all_get_their_conversation(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    async with keeper_at(path) as keeper:
        for number in range(100):
            keeper.save(conversation(f"sess_{number}", turns=number % 5 + 1))
    async with keeper_at(path) as one, keeper_at(path) as other:
        loads = [keeper.load(f"sess_{number}", "key") for number in range(100) for keeper in (one, other)]
        states = await asyncio.gather(*loads)
    assert all(state is not None for state in states)
    assert states[0::2] == states[1::2]


# --- the store's own rules ----------------------------------------------------------------------


async def test_entries_end_with_their_grace_and_leave_no_bytes_behind(tmp_path: Path) -> None:
    now = Epoch()
    store = store_at(tmp_path / "c.db", now)
    await store.write([Entry("a", now.at, b"confidential words")])
    now.at += 99
    assert await store.read("a") == b"confidential words"
    now.at += 1
    assert await store.read("a") is None
    await store.purge()
    await store.close()
    assert b"confidential" not in (tmp_path / "c.db").read_bytes()


async def test_beyond_the_bound_the_oldest_go(tmp_path: Path) -> None:
    now = Epoch()
    store = store_at(tmp_path / "c.db", now, max_entries=3)
    for number in range(5):
        now.at += 1
        await store.write([Entry(f"sess_{number}", now.at, b"x")])
    kept = [number for number in range(5) if await store.read(f"sess_{number}") is not None]
    assert kept == [2, 3, 4]
    await store.close()


async def test_a_gateway_that_comes_late_does_not_overwrite_what_is_newer(tmp_path: Path) -> None:
    now = Epoch()
    store = store_at(tmp_path / "c.db", now)
    await store.write([Entry("a", now.at, b"newer")])
    await store.write([Entry("a", now.at - 50, b"older")])
    assert await store.read("a") == b"newer"
    await store.write([Entry("a", now.at - 5000, b"after the clock was set back")])
    assert await store.read("a") == b"after the clock was set back"
    await store.close()


async def test_a_clock_that_is_set_back_keeps_nothing_longer_than_the_grace(tmp_path: Path) -> None:
    now = Epoch()
    store = store_at(tmp_path / "c.db", now)
    await store.write([Entry("a", now.at, b"x")])
    now.at -= 10_000
    await store.purge()
    now.at += 101
    assert await store.read("a") is None
    await store.close()


async def test_a_transaction_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    database = Database(tmp_path / "c.db", (), version=1)
    with pytest.raises(StorageUnavailable, match=r"no answer within 0\.01 s"):
        await database.transact(lambda _: time.sleep(0.2), timeout_s=0.01)
    await database.close(timeout_s=5)


async def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = Database(tmp_path / "c.db", ("CREATE TABLE IF NOT EXISTS t (x)",), version=1)

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (1)")
        raise KeyError("half")

    with pytest.raises(KeyError):
        await database.transact(half, timeout_s=5)
    count = await database.transact(lambda c: c.execute("SELECT count(*) FROM t").fetchone()[0], timeout_s=5)
    assert count == 0
    await database.close(timeout_s=5)
