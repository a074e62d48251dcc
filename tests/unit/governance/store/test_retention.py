"""Each class of data goes when its time is over: words first, calls last; open calls stay."""

from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from tests.fakes.recorded_call import STARTED_AT, events_of_call, identity, store_at
from voicectl.core.sections.governance import Retention
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.retention import BATCH, DAY_S, Pruned, prune
from voicectl.governance.store.rows import call_of, events_of, turns_of
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls, complaints, events, scores, turns, violations

WORDS = b"where is my order"
DEFAULT = Retention()


def filled(folder: Path) -> Store:
    store = store_at(folder)
    CallRecords(store).append(events_of_call(identity(attributes={"ticket": "number-42"})))
    with store.write() as connection:
        connection.execute(
            insert(scores), {"call_id": "sess_1", "name": "x", "source": "judge", "at": 1.0, "explanation": "because"}
        )
        connection.execute(insert(complaints), {"complaint_id": "c", "call_id": "sess_1", "received_at": 2.0})
        connection.execute(insert(violations), {"call_id": "sess_1", "use_case": "faq", "kind": "dnc_dial", "at": 1.0})
    return store


def counts(store: Store) -> dict[str, int]:
    with store.read() as connection:
        return {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (calls, turns, events, scores, complaints, violations)
        }


def after(days: float) -> float:
    return STARTED_AT + days * DAY_S


def test_words_go_first_and_from_every_byte_of_the_files(tmp_path: Path) -> None:
    with filled(tmp_path) as store:
        before = counts(store)
        assert prune(store, DEFAULT, after(89)) == Pruned()
        assert prune(store, DEFAULT, after(91)) == Pruned(num_texts=1)
        assert prune(store, DEFAULT, after(91)) == Pruned()
        assert counts(store) == before
        with store.read() as connection:
            call = call_of(connection, "sess_1")
            rows = turns_of(connection, "sess_1")
            bodies: list[dict[str, Any]] = [event.body for event in events_of(connection, "sess_1")]
        content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert call is not None
    assert (call.texts_pruned_at, call.num_turns) == (after(91), 2)
    assert [(row.transcript, row.v2v_s is not None) for row in rows] == [(None, True)] * 2
    assert not any({"text", "attributes"} & set(body) for body in bodies)
    assert not any(words in content for words in (WORDS, b"On its way", b"number-42", b"because"))


def test_events_and_times_go_next_and_the_call_last(tmp_path: Path) -> None:
    with filled(tmp_path) as store:
        assert prune(store, DEFAULT, after(401)) == Pruned(num_texts=1, num_events=1, num_turns=1)
        assert (counts(store)["events"], counts(store)["turns"], counts(store)["calls"]) == (0, 0, 1)
        assert prune(store, DEFAULT, after(2556)) == Pruned(num_calls=1)
        assert counts(store) == {"calls": 0, "turns": 0, "events": 0, "scores": 0, "complaints": 0, "violations": 1}


def test_for_ever_is_for_ever_and_calls_that_go_on_stay(tmp_path: Path) -> None:
    keep = Retention(transcripts_days=None, events_days=None, turns_days=None, calls_days=None)
    with filled(tmp_path) as store:
        assert not prune(store, keep, after(100_000))
        CallRecords(store).append(events_of_call(identity("sess_open"))[:-1])
        prune(store, DEFAULT, after(100_000))
        assert counts(store)["calls"] == 1


def test_a_dry_run_counts_and_changes_nothing(tmp_path: Path) -> None:
    with filled(tmp_path) as store:
        before = counts(store)
        assert prune(store, DEFAULT, after(401), dry_run=True) == Pruned(num_texts=1, num_events=1, num_turns=1)
        assert counts(store) == before


def test_it_ends_behind_a_batch_when_told_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with store_at(tmp_path) as store:
        CallRecords(store).append(
            [event for n in range(BATCH + 10) for event in events_of_call(identity(f"sess_{n:03}"), turns=1)]
        )
        assert prune(store, DEFAULT, after(91), go_on=lambda: False) == Pruned(num_texts=BATCH)
        assert prune(store, DEFAULT, after(91)) == Pruned(num_texts=10)


def test_the_file_shrinks_step_by_step(tmp_path: Path) -> None:
    with store_at(tmp_path) as store:
        with store.write() as connection:
            connection.execute(
                insert(calls), {"call_id": "big", "use_case": "x", "tier": "low", "started_at": 1.0, "ended_at": 2.0}
            )
            body = {"text": "x" * 3_000_000}
            connection.execute(insert(events), {"call_id": "big", "sequence": 0, "at": 1.0, "kind": "x", "body": body})
        stops: list[int] = []
        prune(store, DEFAULT, after(0), go_on=lambda: stops.append(1) is None)
        assert len(stops) > 3
        with store.read() as connection:
            assert connection.exec_driver_sql("PRAGMA freelist_count").scalar() == 0
    assert (tmp_path / "records.db").stat().st_size < 1_000_000
