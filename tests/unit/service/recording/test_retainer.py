"""Retention runs beside the recorder: it holds up no call, and ends when it is told to."""

import threading
from pathlib import Path

from structlog.testing import capture_logs

from tests.fakes.conversation import eventually
from tests.fakes.recorded_call import events_of_call, identity, scribe, store_at, whole_call
from voicectl.core.sections.governance import Governance, Retention
from voicectl.governance.store.errors import StoreUnavailable
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.rows import call_of
from voicectl.governance.store.store import Store
from voicectl.service.recording.recorder import Recorder
from voicectl.service.recording.retainer import Retainer
from voicectl.service.recording.spill import Spill
from voicectl.service.recording.writer import Writer

CALL = identity()


def pruned_at(folder: Path) -> float | None:
    with store_at(folder) as store, store.read() as connection:
        call = call_of(connection, "sess_1")
    assert call is not None
    return call.texts_pruned_at


async def test_what_was_kept_long_enough_goes_while_the_gateway_runs(tmp_path: Path) -> None:
    with store_at(tmp_path) as store:
        CallRecords(store).append(events_of_call(CALL))
    retainer = Retainer(Retention(transcripts_days=1), lambda: store_at(tmp_path), first_after_s=0.0)
    retainer.start()
    await eventually(lambda: pruned_at(tmp_path) is not None)
    retainer.stop()


async def test_retention_that_hangs_holds_up_neither_calls_nor_the_end(tmp_path: Path) -> None:
    released, asked = threading.Event(), threading.Event()

    def hanging() -> Store:
        asked.set()
        released.wait(30)
        return store_at(tmp_path)

    by = scribe()
    writer = Writer(by, lambda: store_at(tmp_path), Spill(tmp_path / "spill", max_bytes=100_000))
    recorder = Recorder(Governance(), writer, by, Retainer(Retention(), hanging, first_after_s=0.0))
    async with recorder:
        await eventually(asked.is_set)
        for noted in whole_call(CALL):
            recorder.offer(noted)
    released.set()
    assert (recorder.health().counts.num_stored, recorder.health().num_queued) == (6, 0)


async def test_a_database_that_is_down_is_told_and_tried_another_time(tmp_path: Path) -> None:
    def gone() -> Store:
        raise StoreUnavailable("db: gone")

    retainer = Retainer(Retention(), gone, first_after_s=0.0)
    with capture_logs() as logs:
        retainer.start()
        await eventually(lambda: bool(logs))
        retainer.stop()
    assert [(entry["event"], entry["error"]) for entry in logs] == [("retention_failed", "db: gone")]
