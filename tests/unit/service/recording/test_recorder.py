"""The queue between calls and their records is bounded, and nothing that it holds is forgotten at the end."""

import asyncio
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.conversation import eventually
from tests.fakes.recorded_call import identity, scribe, store_at, whole_call
from voicectl.core import events as ev
from voicectl.core.sections.governance import Governance
from voicectl.governance.store.rows import call_of
from voicectl.service.recording.recorder import Recorder
from voicectl.service.recording.retainer import Retainer
from voicectl.service.recording.spill import Spill
from voicectl.service.recording.writer import Writer

CALL = identity()


def recorder_in(folder: Path, **settings: object) -> Recorder:
    by = scribe()
    writer = Writer(by, lambda: store_at(folder), Spill(folder / "spill", max_bytes=100_000))
    wanted = Governance.model_validate({"commit_interval_s": 0.01, **settings})
    return Recorder(wanted, writer, by, Retainer(wanted.retention, lambda: store_at(folder)))


async def test_what_is_offered_is_stored_before_the_end(tmp_path: Path) -> None:
    async with recorder_in(tmp_path) as recorder:
        for noted in whole_call(CALL):
            recorder.offer(noted)
    with store_at(tmp_path) as store, store.read() as connection:
        call = call_of(connection, "sess_1")
    assert call is not None
    assert (call.num_turns, call.incomplete) == (2, False)
    assert recorder.health().num_queued == 0


async def test_who_is_told_to_stop_while_gathering_stops(tmp_path: Path) -> None:
    recorder = recorder_in(tmp_path, commit_interval_s=0.3, flush_s=60.0)
    async with recorder, asyncio.timeout(20):
        for noted in whole_call(CALL):
            recorder.offer(noted)
        # Now its thread waits for more of the same commit.
        await asyncio.sleep(0.1)
        await recorder.close()
    assert recorder.health().counts.num_stored > 0


async def test_what_a_locked_database_has_not_taken_at_the_end_is_spilled_and_comes_with_the_next_start(
    tmp_path: Path,
) -> None:
    seen = whole_call(CALL)
    recorder = recorder_in(tmp_path, flush_s=0.0)
    async with recorder:
        recorder.offer(seen[0])
        await eventually(lambda: recorder.health().counts.num_stored == 1)
        other = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for noted in seen[1:]:
            recorder.offer(noted)
        await recorder.close()
        other.close()
    assert (recorder.health().counts.num_spilled, recorder.health().num_queued) == (5, 0)
    async with recorder_in(tmp_path) as heir:
        await eventually(lambda: heir.health().counts.num_replayed == 5)
    with store_at(tmp_path) as store, store.read() as connection:
        call = call_of(connection, "sess_1")
    assert call is not None
    assert (call.num_turns, call.incomplete, call.end_reason) == (2, False, "caller-hung-up")


class Trail:
    def __init__(self) -> None:
        self.kinds: list[str] = []

    def note(self, kind: str, body: Mapping[str, Any]) -> None:
        self.kinds.append(kind)


async def test_the_audit_log_is_told_and_the_trace_is_named(tmp_path: Path) -> None:
    trail = Trail()
    dialled = identity(attributes={"direction": "outbound"})
    async with recorder_in(tmp_path) as recorder:
        recorder.tell(trail)
        recorder.observer.trace_of = lambda call: "ab" * 16 if call == dialled else None
        recorder.observer.call_started(dialled)
        recorder.observer.call_ended(dialled, "the call ended")
    assert trail.kinds == ["consent_checked"]
    with store_at(tmp_path) as store, store.read() as connection:
        call = call_of(connection, "sess_1")
    assert call is not None
    assert (call.trace_id, call.direction) == ("ab" * 16, "outbound")


async def test_a_full_queue_misses_the_newest_counts_them_and_marks_the_call(tmp_path: Path) -> None:
    recorder = recorder_in(tmp_path, queue_depth=16)
    for noted in whole_call(CALL, turns=9):
        recorder.offer(noted)
    assert recorder.health().num_queued == 16
    assert recorder.health().state == "losing"
    async with recorder:
        await eventually(lambda: recorder.health().counts.num_lost == 13)
        await eventually(lambda: recorder.health().state == "ok")
    with store_at(tmp_path) as store, store.read() as connection:
        call = call_of(connection, "sess_1")
    assert call is not None
    assert call.incomplete


async def test_the_observer_hands_on_what_records_are_made_of_and_nothing_else(tmp_path: Path) -> None:
    recorder = recorder_in(tmp_path)
    recorder.observer.call_started(CALL)
    recorder.observer.call_event(CALL, ev.TranscriptDelta("i", "words"), 1.0)
    recorder.observer.call_event(CALL, ev.ReplyText("r", "i", "words"), 1.0)
    recorder.observer.call_event(CALL, ev.TranscriptFinal("i", "words", 1.0), 1.0)
    recorder.observer.call_ended(CALL, "the client closed the connection")
    assert recorder.health().num_queued == 3


async def test_closing_twice_is_closing(tmp_path: Path) -> None:
    recorder = recorder_in(tmp_path)
    async with recorder:
        pass
    await recorder.close()


@pytest.mark.parametrize("depth", [0, 15])
def test_a_queue_for_nobody_is_refused(depth: int) -> None:
    with pytest.raises(ValueError, match="queue_depth"):
        Governance(queue_depth=depth)
