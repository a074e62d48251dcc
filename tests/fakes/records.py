"""Call records in memory, with the two ways in that a store has."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, create_engine, insert
from sqlalchemy.pool import StaticPool

from voicectl.core.records import CallRow, TurnRow
from voicectl.governance.store.tables import calls, metadata, scores, turns

DAY_S = 86_400.0
NOW = 20_700 * DAY_S


class MemoryRecords:
    """One connection for all threads: each waits for the others, and so does `close`.

    A thread whose test no longer waits for it would otherwise read from memory that was freed.
    """

    def __init__(self) -> None:
        self._alone = threading.RLock()
        self._engine = create_engine("sqlite://", connect_args={"check_same_thread": False}, poolclass=StaticPool)
        metadata.create_all(self._engine)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._alone, self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        with self._alone, self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        with self._alone:
            self._engine.dispose()

    def add(self, call: CallRow, *spoken: TurnRow) -> None:
        with self.write() as connection:
            connection.execute(insert(calls).values(**asdict(call)))
            if spoken:
                connection.execute(insert(turns), [asdict(turn) for turn in spoken])

    def review(self, call_id: str, name: str, value: float, at: float = NOW) -> None:
        row = {"call_id": call_id, "name": name, "value": value, "source": "human", "at": at}
        with self.write() as connection:
            connection.execute(insert(scores).values(**row))

    def call(self, call_id: str) -> Any:
        with self.read() as connection:
            return connection.execute(calls.select().where(calls.c.call_id == call_id)).one()

    def scores(self, call_id: str) -> list[Any]:
        with self.read() as connection:
            found = scores.select().where(scores.c.call_id == call_id).order_by(scores.c.score_id)
            return list(connection.execute(found))


def a_call(call_id: str = "c1", **known: Any) -> CallRow:
    """Return an answered call of a day ago that ended well; `known` changes it."""
    row: dict[str, Any] = {
        "use_case": "faq",
        "tier": "low",
        "started_at": NOW - DAY_S,
        "answered_at": NOW - DAY_S + 1,
        "ended_at": NOW - DAY_S + 61,
        "end_reason": "caller-hung-up",
        "abandoned": False,
        "num_turns": 2,
        "transfer_attempted": False,
        "escalated": False,
        "disclosure_s": 2.0,
    }
    return CallRow(call_id, **{**row, **known})


def said(call_id: str, *lines: tuple[str | None, str | None], v2v_s: float | None = None) -> tuple[TurnRow, ...]:
    """Return turns from pairs of what the caller and the agent said."""
    return tuple(
        TurnRow(call_id, number, transcript=caller, reply=agent, v2v_s=v2v_s)
        for number, (caller, agent) in enumerate(lines)
    )
