"""A reply counts only if it is what was asked for."""

import json
from typing import Any

import pytest

from voicectl.engine.llm.schema import GrammarRules
from voicectl.governance.score.judgement import MalformedJudgement, parse_judgement, reply_schema
from voicectl.governance.score.rubric import packaged_rubric

RUBRIC = packaged_rubric()
FLAGS = dict.fromkeys(RUBRIC.judge.flags, False)
GOOD: dict[str, Any] = {
    "reason": "It arrived.",
    "task": "completed",
    "failure": "misheard",
    "escalation": "needed",
    "flags": {**FLAGS, "misleading": True},
    "sentiment": "negative",
}


def test_a_good_reply_is_read() -> None:
    found = parse_judgement(json.dumps(GOOD), RUBRIC, was_transferred=None)
    assert (found.task, found.flags, found.sentiment) == ("completed", ("misleading",), -0.5)


def test_a_completed_task_has_no_failure() -> None:
    assert parse_judgement(json.dumps(GOOD), RUBRIC, was_transferred=None).failure == "none"


@pytest.mark.parametrize(
    ("said", "transferred", "meant"),
    [
        ("needed", True, "appropriate"),
        ("appropriate", False, "needed"),
        ("not_needed", True, "needless"),
        ("needless", False, "not_needed"),
        ("needless", None, "needless"),
    ],
)
def test_a_grade_fits_what_happened(said: str, transferred: bool | None, meant: str) -> None:
    reply = json.dumps({**GOOD, "escalation": said})
    assert parse_judgement(reply, RUBRIC, was_transferred=transferred).escalation == meant


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "yes",
        "[]",
        "null",
        "[" * 3000,
        json.dumps(GOOD)[:-1],
        json.dumps({**GOOD, "task": "done"}),
        json.dumps({**GOOD, "extra": 1}),
        json.dumps({**GOOD, "flags": {}}),
        json.dumps({**GOOD, "flags": {**FLAGS, "misleading": "no"}}),
        json.dumps({**GOOD, "reason": "x" * 161}),
        json.dumps({key: value for key, value in GOOD.items() if key != "sentiment"}),
        json.dumps(GOOD) + " " * 4001,
    ],
)
def test_other_replies_are_malformed(reply: str) -> None:
    with pytest.raises(MalformedJudgement):
        parse_judgement(reply, RUBRIC, was_transferred=None)


def test_the_engine_can_enforce_the_schema() -> None:
    assert GrammarRules().add_reply(json.dumps(reply_schema(RUBRIC)), "reply")


def test_a_model_that_takes_the_first_choice_finds_fault() -> None:
    properties = reply_schema(RUBRIC)["properties"]
    firsts = [properties[name]["enum"][0] for name in ("task", "failure", "escalation", "sentiment")]
    assert firsts == ["unclear", "misheard", "needed", "very_negative"]
