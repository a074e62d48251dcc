"""The judge asks a bounded number of times, in the background of all calls, and stops when it is told to."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.fakes.records import a_call, said
from voicectl.core.errors import EngineError, WorkerDied
from voicectl.core.ports import ChatRequest, Priority, TextDelta
from voicectl.governance.score.conversation import Conversation
from voicectl.governance.score.rubric import packaged_rubric
from voicectl.service.scoring.judge import JudgeLimits, LocalJudge, Unjudgeable

RUBRIC = packaged_rubric()
TALK = Conversation(a_call(), said("c1", ("hi", "Hello.")))
GOOD = json.dumps(
    {
        "reason": "Solved.",
        "task": "completed",
        "failure": "none",
        "escalation": "not_needed",
        "flags": dict.fromkeys(RUBRIC.judge.flags, False),
        "sentiment": "positive",
    }
)


@dataclass(slots=True)
class ScriptedModel:
    """Answers as told, one reply a request; the last one for ever. None never answers."""

    script: list[str | EngineError | None]
    finish: str = "stop"
    requests: list[ChatRequest] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    num_cancelled: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def generate(self, request: ChatRequest, *, timeout_s: float) -> Any:
        self.requests.append(request)
        self.asked.set()
        reply = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(reply, EngineError):
            raise reply
        if reply is None:
            try:
                await asyncio.Event().wait()
            finally:
                self.num_cancelled += 1
        yield TextDelta(str(reply)[:20])
        yield TextDelta(str(reply)[20:], self.finish)  # type: ignore[arg-type]

    async def forget(self, session_id: str) -> None:
        self.forgotten.append(session_id)

    async def wake(self, request: ChatRequest) -> None:
        raise AssertionError


async def _no_wait(_: float) -> None:
    return


def judge_of(model: ScriptedModel) -> LocalJudge:
    limits = JudgeLimits(context_tokens=2048)
    return LocalJudge(model, RUBRIC, digest="d", limits=limits, sleep=_no_wait)  # type: ignore[arg-type]


async def test_a_good_reply_is_a_judgement_and_nothing_stays_in_the_cache() -> None:
    model = ScriptedModel([GOOD])
    assert (await judge_of(model).judge(TALK)).task == "completed"
    (request,) = model.requests
    assert (request.priority, request.temperature) == (Priority.PARTIAL, 0.0)
    assert request.schema is not None
    assert model.forgotten == [request.session_id]


async def test_a_malformed_reply_is_asked_for_again_in_another_way() -> None:
    model = ScriptedModel(["{", GOOD])
    await judge_of(model).judge(TALK)
    first, second = model.requests
    assert (first.temperature, first.seed) != (second.temperature, second.seed)


@pytest.mark.parametrize(("reply", "down"), [("no", False), (WorkerDied("gone"), True)])
async def test_attempts_are_bounded_and_say_what_was_wrong(reply: str | EngineError, down: bool) -> None:
    model = ScriptedModel([reply])
    with pytest.raises(Unjudgeable, match="3 attempts") as caught:
        await judge_of(model).judge(TALK)
    assert (len(model.requests), caught.value.is_engine_down) == (3, down)


async def test_a_reply_that_was_cut_off_is_no_judgement() -> None:
    with pytest.raises(Unjudgeable, match="ended by length"):
        await judge_of(ScriptedModel([GOOD], finish="length")).judge(TALK)


async def test_cancelling_ends_the_request() -> None:
    model = ScriptedModel([None])
    task = asyncio.ensure_future(judge_of(model).judge(TALK))
    await model.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.num_cancelled == 1
