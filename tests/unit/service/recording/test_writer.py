"""Whatever the database does, each event is stored once, spilled, or counted as lost."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.fakes.recorded_call import identity, scribe, store_at, turn, whole_call
from tests.fakes.redaction import SECRET, FakeRedactor
from voicectl.core.records import CallRow, GovernanceEvent
from voicectl.governance.store.errors import RowsRejected, StoreRefused, StoreUnavailable
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.rows import call_of, events_of, turns_of
from voicectl.governance.store.store import Store
from voicectl.service.recording.scribe import Began, Noted
from voicectl.service.recording.spill import Spill
from voicectl.service.recording.writer import Writer

CALL = identity()


class Bench:
    """A writer over a real SQLite file that can be made to fail."""

    def __init__(self, folder: Path, *, max_bytes: int = 1_000_000) -> None:
        self.folder = folder
        self.at = 0.0
        self.error: Exception | None = None
        self.redactor = FakeRedactor()
        self.scribe = scribe(self.redactor)
        self.spill = Spill(folder / "spill", max_bytes=max_bytes)
        self.writer = Writer(self.scribe, self._open, self.spill, now=lambda: self.at)

    def _open(self) -> Store:
        if self.error is not None:
            raise self.error
        return store_at(self.folder)

    def fail(self) -> None:
        self.error = StoreUnavailable("db: gone")
        self.writer._disconnect()

    def mend(self) -> None:
        self.error = None
        self.at += 1000

    def stored(self, call_id: str = "sess_1") -> list[GovernanceEvent]:
        return self._read(lambda connection: events_of(connection, call_id))

    def call(self, call_id: str = "sess_1") -> CallRow:
        row: CallRow = self._read(lambda connection: call_of(connection, call_id))
        return row

    def _read(self, read: Callable[[Any], Any]) -> Any:
        with store_at(self.folder) as store, store.read() as connection:
            return read(connection)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def numbers(events: Sequence[GovernanceEvent]) -> list[int]:
    return [event.sequence for event in events]


def test_a_call_is_there_with_its_turns(bench: Bench) -> None:
    for noted in whole_call(CALL):
        bench.writer.write([noted])
    assert numbers(bench.stored()) == list(range(6))
    assert (bench.call().num_turns, bench.call().end_reason) == (2, "caller-hung-up")
    with store_at(bench.folder) as store, store.read() as connection:
        assert [row.transcript for row in turns_of(connection, "sess_1")] == ["where is my order"] * 2
    assert bench.writer.counts.num_stored == 6


def test_while_the_database_is_down_events_are_spilled_and_come_after_in_order(bench: Bench) -> None:
    seen = whole_call(CALL, turns=4)
    bench.writer.write(seen[:4])
    bench.fail()
    bench.writer.write(seen[4:8])
    assert (bench.writer.state, bench.writer.has_arrears) == ("spilling", True)
    bench.writer.write(seen[8:10])
    bench.mend()
    bench.writer.write(seen[10:])
    assert numbers(bench.stored()) == list(range(10))
    assert not bench.call().incomplete
    assert bench.writer.state == "ok"
    counts = bench.writer.counts
    assert (counts.num_stored, counts.num_spilled, counts.num_replayed, counts.num_lost) == (3, 7, 7, 0)
    assert bench.spill.is_empty


def test_a_database_that_fails_is_left_alone_for_longer_and_longer(bench: Bench) -> None:
    bench.fail()
    bench.writer.write(whole_call(CALL)[:1])
    assert bench.writer.rest_s == pytest.approx(0.5)
    bench.at = 0.6
    bench.writer.write([])
    assert bench.writer.rest_s == pytest.approx(1.0)
    bench.at = 0.7
    bench.writer.write([])
    assert bench.writer.rest_s == pytest.approx(0.9)


def test_a_database_that_owes_an_answer_counts_as_down(bench: Bench) -> None:
    states = []

    def slow(_records: CallRecords) -> int:
        for at in (1.0, 2.5):
            bench.at = at
            states.append(bench.writer.state)
        return 7

    assert bench.writer.run(slow) == 7
    assert [*states, bench.writer.state] == ["ok", "spilling", "ok"]


def test_a_file_that_is_moved_away_is_noticed_and_made_anew(bench: Bench) -> None:
    other = identity("sess_2")
    bench.writer.write(whole_call(CALL))
    (bench.folder / "records.db").rename(bench.folder / "moved.db")
    bench.writer.write(whole_call(other))
    assert bench.writer.state == "spilling"
    bench.at += 1
    bench.writer.write([])
    assert (bench.call("sess_2").num_turns, bench.writer.state) == (2, "ok")


def test_the_next_process_replays_what_this_one_left(bench: Bench) -> None:
    bench.fail()
    bench.writer.write(whole_call(CALL))
    bench.writer.close()
    heir = Bench(bench.folder)
    heir.writer.begin()
    assert heir.writer.has_arrears
    heir.writer.write([])
    assert numbers(heir.stored()) == list(range(6))
    assert not heir.call().incomplete


def test_what_was_committed_and_is_replayed_is_there_once(bench: Bench) -> None:
    seen = whole_call(CALL)
    bench.writer.write(seen)
    events = bench.stored()
    bench.spill.append(events)
    bench.writer.write([])
    assert bench.stored() == events
    assert bench.call().num_turns == 2


def test_when_the_spill_is_full_too_the_call_says_so_afterwards(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_bytes=2500)
    other = identity("sess_2")
    bench.fail()
    bench.writer.write(whole_call(CALL, turns=1))
    assert bench.writer.state == "spilling"
    bench.writer.write(whole_call(other, turns=8))
    assert bench.writer.state == "losing"
    assert bench.writer.counts.num_lost == 18
    bench.mend()
    bench.writer.write([])
    assert not bench.call().incomplete
    assert (bench.call("sess_2").incomplete, bench.call("sess_2").use_case) == (True, "order_status")
    assert bench.stored("sess_2")[-1].body["count"] == 18
    assert bench.writer.state == "ok"


def test_what_never_reached_the_writer_marks_the_call_too(bench: Bench) -> None:
    bench.writer.write(whole_call(CALL), missed=[(CALL, 2)])
    assert bench.call().incomplete
    assert bench.call().end_reason == "caller-hung-up"
    assert bench.writer.counts.num_lost == 2


def test_a_row_that_is_refused_for_good_holds_up_nobody(bench: Bench) -> None:
    good, bad = identity("sess_good"), identity("sess_bad", started_at=float("nan"))
    bench.writer.write(whole_call(good, 1)[:-1])
    with capture_logs() as logs:
        bench.writer.write([*whole_call(bad, 1)[:1], *turn(good, 2)])
    assert numbers(bench.stored("sess_good")) == list(range(5))
    assert (bench.writer.counts.num_refused, bench.writer.state) == (1, "losing")
    bench.at += 1000
    assert bench.writer.state == "ok"
    assert [entry["event"] for entry in logs] == ["call_events_refused"]


def test_rows_that_the_database_refuses_are_told_call_by_call(bench: Bench) -> None:
    bench.writer.write(whole_call(CALL, 1))
    records = CallRecords(store_at(bench.folder))
    events = [GovernanceEvent("sess_1", 90, 1.0, "x", {}), GovernanceEvent("sess_9", 0, None, "x", {})]  # type: ignore[arg-type]
    with pytest.raises(RowsRejected):
        records.append(events)
    assert [call_id for call_id, _ in records.append_what_can_be(events)] == ["sess_9"]
    assert numbers(bench.stored())[-1] == 90


def test_a_redactor_that_fails_costs_the_event_and_tells_nothing_of_it(bench: Bench) -> None:
    bench.writer.write([Noted(CALL, Began(), 0.0)])

    def broken(*_: object, **__: object) -> None:
        raise ValueError(f"cannot read {SECRET}")

    bench.redactor.calls[0].add = broken  # type: ignore[method-assign, assignment]
    with capture_logs() as logs:
        bench.writer.write(turn(CALL, 1))
    assert SECRET not in str(logs)
    assert bench.call().incomplete


def test_secrets_reach_neither_database_nor_spill(bench: Bench) -> None:
    seen = [Noted(CALL, Began(), 0.0), *turn(CALL, 1, heard=f"card {SECRET}", said=f"so {SECRET}?")]
    bench.writer.write(seen[:2])
    bench.fail()
    bench.writer.write(seen[2:])
    texts = [path.read_bytes() for path in bench.folder.rglob("*") if path.is_file()]
    assert len(texts) == 2
    assert not any(SECRET.encode() in text for text in texts)
    assert any(b"[card]" in text for text in texts)


def test_lost_calls_are_closed_and_live_ones_are_not(bench: Bench) -> None:
    lost, live = identity("sess_lost"), identity("sess_live")
    bench.writer.write([*whole_call(lost)[:-1], *whole_call(live)[:-1]])
    assert bench.writer.run(lambda records: records.close_lost(CALL.started_at + 1000, ["sess_live"])) == 1
    assert (bench.call("sess_lost").end_reason, bench.call("sess_lost").ended_at) == ("lost", CALL.started_at + 22)
    assert bench.call("sess_live").ended_at is None
    back = identity("sess_lost", started_at=CALL.started_at + 2000, resumed=True)
    bench.writer.write([Noted(back, Began(), 0.0)])
    assert bench.call("sess_lost").ended_at is None


def test_a_database_that_will_never_do_is_refused_at_the_start(bench: Bench) -> None:
    bench.error = StoreRefused("db: newer")
    with pytest.raises(StoreRefused):
        bench.writer.begin()
    bench.error = StoreUnavailable("db: gone")
    bench.writer.begin()
    assert bench.writer.last_error == "db: gone"
