"""Calls are scored from what was recorded of them: of the agent alone, of one half, and of the whole."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.fakes.recorded_call import STARTED_AT, TIMES, identity, scribe, store_at, turn, written
from tests.unit.service.scoring.test_judge import GOOD, ScriptedModel, judge_of
from voicectl.core import events as ev
from voicectl.core.ports import CallIdentity
from voicectl.core.records import CallRow
from voicectl.governance.score.shelf import backlog
from voicectl.governance.store.recording import CallRecords
from voicectl.governance.store.rows import call_of
from voicectl.governance.store.store import Store
from voicectl.governance.store.tables import scores
from voicectl.service.recording.scribe import Began, Ended, Noted
from voicectl.service.scoring.scorer import Scorer

FIRST = identity()
BACK = identity(started_at=STARTED_AT + 100, resumed=True)
LEFT = "the client closed the connection"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with store_at(tmp_path) as fresh:
        yield fresh


def greeting(call: CallIdentity) -> list[Noted]:
    times = replace(TIMES, last_voiced_at=None, transcribed_at=None, committed_at=None)
    said = ev.ResponseEnded(
        "r0", "a0", "completed", "Hello, an AI.", "audio", usage=ev.TokenUsage(9, 5, 4), times=times
    )
    return [
        Noted(call, Began(), 0.0),
        Noted(call, ev.ResponseStarted("r0", "a0", None, "audio"), 0.1),
        Noted(call, said, 2.0),
    ]


def recorded(store: Store, *seen: Noted) -> CallRow:
    CallRecords(store).append(written(scribe(), seen))
    return row(store)


def row(store: Store) -> CallRow:
    with store.read() as connection:
        found = call_of(connection, FIRST.session_id)
    assert found is not None
    return found


async def scored_at(store: Store, at: float, model: ScriptedModel) -> CallRow:
    await Scorer(store, judge_of(model), now=lambda: at).score(FIRST.session_id)
    return row(store)


async def test_a_greeting_that_nobody_answered_is_scored_without_a_judge(store: Store) -> None:
    model = ScriptedModel([GOOD])
    call = recorded(store, *greeting(FIRST), Noted(FIRST, Ended(LEFT), 4.0))
    assert (call.num_turns, call.num_redactions) == (1, 0)
    call = await scored_at(store, STARTED_AT + 50, model)
    assert (call.score_state, call.resolved, call.resolved_by, model.requests) == ("scored", False, None, [])


async def test_a_call_that_is_taken_up_again_is_scored_as_a_whole(store: Store) -> None:
    recorded(store, *greeting(FIRST), Noted(FIRST, Ended(LEFT), 4.0))
    await scored_at(store, STARTED_AT + 50, ScriptedModel([GOOD]))
    goes_on = turn(BACK, 1, heard="where is my order, and I'd like to opt out", said="On its way.")
    call = recorded(store, Noted(BACK, Began(), 0.0), *goes_on, Noted(BACK, Ended(LEFT), 20.0))
    assert (call.score_state, call.ended_at) == ("scored", STARTED_AT + 120)
    with store.read() as connection:
        assert backlog(connection).pending == 1
    call = await scored_at(store, STARTED_AT + 130, ScriptedModel([GOOD]))
    with store.read() as connection:
        assert backlog(connection).pending == 0
        names = set(connection.execute(select(scores.c.name)).scalars())
    assert (call.resolved, call.resolved_by, call.compliance_flagged) == (True, "judge", True)
    assert "opt_out_ignored" in names
