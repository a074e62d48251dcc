"""The keeper never makes a call wait, and keeps the latest state."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fakes.checkpoint_store import FakeCheckpointStore, conversation
from tests.fakes.conversation import eventually
from voicectl.core.events import Item, SessionSettings
from voicectl.core.sections.checkpoints import Checkpoints
from voicectl.service.checkpoints.codec import decode
from voicectl.service.checkpoints.keeper import CheckpointKeeper, may_resume, retry_delay_s


class Instants:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.at = 100.0

    def now(self) -> float:
        return self.at


@asynccontextmanager
async def keeping(store: FakeCheckpointStore, **settings: Any) -> AsyncIterator[CheckpointKeeper]:
    keeper = CheckpointKeeper(store, Checkpoints(**settings), clock=Instants(), delay_s=lambda _: 0.001)
    async with keeper:
        yield keeper


def kept(store: FakeCheckpointStore, session_id: str) -> int:
    """Return how many entries the store has of a conversation."""
    return len(decode(store.kept[session_id], max_bytes=1_000_000).items)


async def test_a_saved_state_is_written_and_loaded() -> None:
    store = FakeCheckpointStore()
    async with keeping(store) as keeper:
        keeper.save(conversation())
        await eventually(lambda: keeper.health().num_written == 1)
        assert await keeper.load("sess_1", "key") == conversation()
        assert keeper.health().num_resumed == 1
    assert store.closed


async def test_of_several_states_of_one_session_the_last_is_written() -> None:
    store = FakeCheckpointStore()
    async with keeping(store) as keeper:
        for turns in (1, 2, 3):
            keeper.save(conversation(turns=turns))
        keeper.save(conversation("sess_2"))
        await eventually(lambda: keeper.health().num_written == 2)
    assert store.writes == [["sess_1", "sess_2"]]
    assert kept(store, "sess_1") == 6


async def test_a_state_that_comes_during_a_write_is_written_after_it() -> None:
    store = FakeCheckpointStore()
    async with keeping(store) as keeper:
        await eventually(lambda: store.num_attempts == 1)
        store.gate.clear()
        keeper.save(conversation(turns=1))
        await eventually(lambda: store.num_attempts == 2)
        keeper.save(conversation(turns=2))
        store.gate.set()
        await eventually(lambda: keeper.health().num_pending == 0)
    assert kept(store, "sess_1") == 4


async def test_a_store_that_is_down_is_reported_once_and_gets_the_latest_states_when_it_is_back() -> None:
    store = FakeCheckpointStore()
    with capture_logs() as logs:
        async with keeping(store) as keeper:
            await eventually(lambda: store.num_attempts == 1)
            store.down = "connection refused"
            keeper.save(conversation(turns=1))
            await eventually(lambda: keeper.health().num_failed_writes >= 3)
            keeper.save(conversation(turns=2))
            health = keeper.health()
            assert (health.state, health.num_pending) == ("failing", 1)
            assert health.last_error == "fake: connection refused"
            store.down = None
            await eventually(lambda: keeper.health().num_pending == 0)
            assert (keeper.health().state, keeper.health().last_error) == ("ok", None)
    assert kept(store, "sess_1") == 4
    assert [entry["event"] for entry in logs] == ["checkpoints_failing", "checkpoints_recovered"]


async def test_a_store_that_is_down_from_the_start_is_failing_before_any_call() -> None:
    store = FakeCheckpointStore()
    store.down = "no such folder"
    async with keeping(store) as keeper:
        await eventually(lambda: keeper.health().state == "failing")


async def test_a_bug_of_a_store_does_not_end_the_keeper() -> None:
    class Broken(FakeCheckpointStore):
        async def purge(self) -> None:
            raise ZeroDivisionError

    store = Broken()
    with capture_logs() as logs:
        async with keeping(store) as keeper:
            await eventually(lambda: keeper.health().state == "failing")
            keeper.save(conversation())
            await eventually(lambda: keeper.health().num_written == 1)
    assert logs[0]["event"] == "checkpoint_store_broken"


async def test_states_that_wait_are_bounded_and_the_longest_unchanged_goes() -> None:
    store = FakeCheckpointStore()
    store.down = "down"
    async with keeping(store, max_pending=2, flush_s=0) as keeper:
        for name in ("a", "b", "a", "c"):
            keeper.save(conversation(name))
        assert (keeper.health().num_pending, keeper.health().num_dropped) == (2, 1)
        assert await keeper.load("b", "key") is None
        assert await keeper.load("a", "key") is not None


async def test_a_state_that_waits_can_be_taken_up_while_the_store_is_down() -> None:
    store = FakeCheckpointStore()
    store.down = "down"
    clock = Instants()
    keeper = CheckpointKeeper(store, Checkpoints(grace_s=10, flush_s=0), clock=clock, delay_s=lambda _: 0.001)
    async with keeper:
        keeper.save(conversation())
        assert await keeper.load("sess_1", "key") == conversation()
        clock.at += 10
        assert await keeper.load("sess_1", "key") is None


async def test_load_gives_up_on_a_store_that_hangs_and_on_one_that_is_down() -> None:
    store = FakeCheckpointStore()
    async with keeping(store, timeout_s=0.01, flush_s=0.01) as keeper:
        await eventually(lambda: store.num_attempts == 1)
        store.gate.clear()
        assert await keeper.load("sess_1", "key") is None
        store.gate.set()
        store.down = "down"
        assert await keeper.load("sess_1", "key") is None
        assert keeper.health().num_failed_reads == 2


async def test_what_cannot_be_read_is_reported_and_is_no_conversation() -> None:
    store = FakeCheckpointStore()
    store.kept["sess_1"] = b'{"version":9}'
    with capture_logs() as logs:
        async with keeping(store) as keeper:
            assert await keeper.load("sess_1", "key") is None
            assert keeper.health().num_unreadable == 1
    assert logs[0]["event"] == "checkpoint_unreadable"


@pytest.mark.parametrize("session_id", ["", "x" * 129, "a\nb", "sitzung_ü", "\ud800"])
async def test_ids_that_no_session_has_are_not_looked_up(session_id: str) -> None:
    store = FakeCheckpointStore()
    async with keeping(store) as keeper:
        await eventually(lambda: store.num_attempts == 1)
        assert await keeper.load(session_id, None) is None
        assert store.num_attempts == 1


async def test_a_state_too_large_is_refused_and_the_others_are_written() -> None:
    store = FakeCheckpointStore()
    huge = replace(conversation("huge"), settings=SessionSettings(instructions="x" * 5000))
    broken = replace(conversation("broken"), items=(Item("item_1", "user", "\ud800"),))
    async with keeping(store, max_state_bytes=4096) as keeper:
        keeper.save(huge)
        keeper.save(broken)
        keeper.save(conversation("fine"))
        await eventually(lambda: keeper.health().num_pending == 0)
        assert (keeper.health().num_refused, keeper.health().num_written) == (2, 1)
    assert set(store.kept) == {"fine"}


async def test_the_end_waits_until_what_is_left_is_written() -> None:
    store = FakeCheckpointStore()
    async with keeping(store) as keeper:
        for number in range(40):
            keeper.save(conversation(f"sess_{number}"))
    assert len(store.kept) == 40


async def test_the_end_waits_no_longer_than_it_may_and_says_what_is_lost() -> None:
    store = FakeCheckpointStore()
    with capture_logs() as logs:
        async with keeping(store, flush_s=0.01) as keeper:
            await eventually(lambda: store.num_attempts == 1)
            store.gate.clear()
            keeper.save(conversation())
    assert [(entry["event"], entry["sessions"]) for entry in logs] == [("checkpoints_lost", 1)]
    assert store.closed
    await keeper.close()


async def test_cancelling_the_gateway_ends_the_keeper() -> None:
    store = FakeCheckpointStore()

    async def gateway() -> None:
        async with keeping(store) as keeper:
            keeper.save(conversation())
            await asyncio.Event().wait()

    task = asyncio.create_task(gateway())
    await eventually(lambda: "sess_1" in store.kept)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert store.closed


def test_only_the_same_key_takes_up_a_conversation() -> None:
    assert may_resume(conversation(owner="a"), "sess_1", "a")
    assert may_resume(conversation(owner=None), "sess_1", None)
    assert not may_resume(conversation(owner="a"), "sess_1", "b")
    assert not may_resume(conversation(owner="a"), "sess_1", None)
    assert not may_resume(conversation(owner=None), "sess_1", "a")
    assert not may_resume(conversation(owner=None), "sess_1", "")
    assert not may_resume(conversation(owner="a"), "sess_2", "a")


def test_the_pause_grows_to_a_bound() -> None:
    assert [retry_delay_s(failures) for failures in (1, 2, 3, 7, 1000)] == [0.1, 0.2, 0.4, 5.0, 5.0]
