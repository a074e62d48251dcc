"""Exports hold every call once, and nothing that a spreadsheet would run."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from tests.fakes.recorded_call import STARTED_AT, events_of_call, identity, store_at
from voicectl.core.errors import ConfigError
from voicectl.core.ports import Purpose
from voicectl.governance.store.export import COLUMNS, export_rows, guarded
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.rows import CallFilter, count_calls, each_call
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import calls


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_at(tmp_path) as fresh:
        events = [
            event
            for n in range(7)
            # Three begin at the same instant.
            for event in events_of_call(identity(f"sess_{n}", started_at=STARTED_AT + max(0, n - 2)), turns=1)
        ]
        CallRecords(fresh).append(events)
        with fresh.write() as connection:
            connection.execute(update(calls).where(calls.c.call_id == "sess_3").values(agent_name="=cmd|'/c calc'!A1"))
        yield fresh


def test_batches_hold_every_call_once(store: Store) -> None:
    with store.read() as connection:
        batches = list(each_call(connection, CallFilter(), batch=2))
    assert [len(batch) for batch in batches] == [2, 2, 2, 1]
    assert [call.call_id for batch in batches for call in batch] == [f"sess_{n}" for n in range(7)]


def test_csv_has_a_header_and_guards_formulas(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "calls.csv"
    heard: list[int] = []
    assert export_rows(store, "calls", CallFilter(), path, "csv", on_batch=heard.append) == sum(heard) == 7
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS["calls"])
    assert rows[3]["agent_name"] == "'=cmd|'/c calc'!A1"
    assert (rows[0]["abandoned"], rows[0]["resolved"], rows[0]["started_at"]) == ("false", "", str(STARTED_AT))
    assert path.stat().st_mode & 0o777 == 0o600


def test_json_lines_and_parquet_hold_the_same(store: Store, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    export_rows(store, "calls", CallFilter(), tmp_path / "calls.jsonl", "jsonl")
    export_rows(store, "calls", CallFilter(), tmp_path / "calls.parquet", "parquet")
    lines = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    assert parquet.read_table(tmp_path / "calls.parquet").to_pylist() == lines
    assert len(lines) == 7


def test_filters_choose(store: Store, tmp_path: Path) -> None:
    other = identity("sess_other", purpose=Purpose("faq", "medium"))
    CallRecords(store).append(events_of_call(other)[:-1])
    with store.read() as connection:
        numbers = [
            count_calls(connection, wanted)
            for wanted in (
                CallFilter(use_case="faq"),
                CallFilter(tier="medium"),
                CallFilter(outcome="open"),
                CallFilter(since=STARTED_AT + 1),
                CallFilter(until=STARTED_AT + 1, use_case="order_status"),
                CallFilter(outcome="escalated"),
            )
        ]
    assert numbers == [1, 1, 1, 4, 3, 0]
    assert export_rows(store, "calls", CallFilter(use_case="faq"), tmp_path / "x.jsonl", "jsonl") == 1


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"])
def test_what_begins_like_a_formula_is_text(text: str) -> None:
    assert guarded(text) == f"'{text}"


def test_numbers_stay_numbers() -> None:
    assert (guarded(-1.5), guarded(None), guarded("a=b")) == (-1.5, None, "a=b")


def test_a_file_that_cannot_be_written_leaves_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        export_rows(store, "calls", CallFilter(), tmp_path / "none" / "calls.csv", "csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        export_rows(store, "calls", CallFilter(), tmp_path / "folder.csv", "csv")
    assert not list(tmp_path.glob(".*"))
