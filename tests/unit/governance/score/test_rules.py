"""Rules find what they must, and nothing in calls that went well."""

from typing import Any

import pytest

from tests.fakes.records import NOW, a_call, said
from voicectl.governance.score.conversation import Conversation
from voicectl.governance.score.rubric import packaged_rubric
from voicectl.governance.score.rules import (
    MAX_SEARCHED,
    MAX_SEARCHED_IN_ALL,
    findings,
    human_requests,
    misunderstandings_in_a_row,
    searched,
)

RUBRIC = packaged_rubric()
AGAIN = "I didn't catch that, could you repeat it?"


def talk(*lines: tuple[str | None, str | None], v2v_s: float | None = 0.6, **known: Any) -> Conversation:
    return Conversation(a_call(**known), said("c1", *lines, v2v_s=v2v_s))


def rules_of(conversation: Conversation) -> set[str]:
    return {finding.rule for finding in findings(conversation, RUBRIC)}


def test_a_call_that_went_well_has_no_finding() -> None:
    assert rules_of(talk((None, "Hello."), ("where is my order", "It arrives on Friday."))) == set()


@pytest.mark.parametrize(
    "text",
    [
        "I want to speak to a human",
        "can I talk to a real person please",
        "let me talk to somebody",
        "transfer me to an operator",
        "get me a supervisor",
        "put me through to a person",
        "representative please",
        "Could you CONNECT ME to a live agent",
        "is there a person I can talk to",
    ],
)
def test_requests_for_a_human_are_heard(text: str) -> None:
    assert len(human_requests(talk((text, "I can help.")), RUBRIC)) == 1
    assert "human_request_ignored" in rules_of(talk((text, "I can help.")))
    assert "human_request_ignored" not in rules_of(
        talk((text, "One moment."), transfer_attempted=True, transfer_payload_digest="d", transfer_complete=True)
    )


@pytest.mark.parametrize(
    "text",
    [
        "am I speaking to a human",
        "are you a real person",
        "no need to speak to a person",
        "I don't want to talk to someone else",
        "my travel agent booked it",
        "the operator's manual is missing",
        "the person next to me is loud",
    ],
)
def test_other_talk_of_humans_is_no_request(text: str) -> None:
    assert human_requests(talk((text, "Yes.")), RUBRIC) == []


def test_a_caller_should_not_have_to_ask_three_times() -> None:
    line = ("let me talk to a person", "What is it about?")
    assert "human_request_delayed" in rules_of(talk(line, line, line, transfer_attempted=True))
    assert "human_request_delayed" not in rules_of(talk(line, line, transfer_attempted=True))


def test_two_misunderstandings_in_a_row_need_a_human() -> None:
    assert "misunderstood_repeatedly" in rules_of(talk(("x", AGAIN), ("x", AGAIN)))
    assert "misunderstood_repeatedly" not in rules_of(talk(("x", AGAIN), ("x", "I see."), ("x", AGAIN)))
    assert "misunderstood_repeatedly" not in rules_of(talk(("x", AGAIN), ("x", AGAIN), transfer_attempted=True))
    assert misunderstandings_in_a_row(talk(("x", "ok"), num_misunderstandings=2), RUBRIC) == 2


@pytest.mark.parametrize(
    ("known", "rule"),
    [
        ({"disclosure_s": 10.5}, "disclosure_late"),
        ({"disclosure_s": None}, "disclosure_missing"),
        ({"direction": "outbound"}, "consent_missing"),
        ({"direction": "outbound", "consent_id": "k", "consent_revoked_at": NOW - 9e6}, "consent_revoked"),
        ({"direction": "outbound", "consent_id": "k", "dnc_listed": True}, "do_not_call_dialled"),
        ({"direction": "outbound", "consent_id": "k", "window_verdict": "blocked"}, "outside_calling_window"),
        ({"transfer_attempted": True}, "transfer_without_payload"),
        (
            {"transfer_attempted": True, "transfer_payload_digest": "d", "transfer_complete": False},
            "transfer_payload_incomplete",
        ),
        ({"dead_air_s": 5.1}, "dead_air"),
        ({"end_reason": "failed"}, "call_failed"),
    ],
)
def test_facts_of_the_record_decide(known: dict[str, Any], rule: str) -> None:
    assert rule in rules_of(talk(("hello", "Hello."), **known))


def test_a_short_call_and_a_probe_owe_no_disclosure() -> None:
    started_at = NOW - 100
    short = {"started_at": started_at, "answered_at": started_at, "ended_at": started_at + 9}
    assert rules_of(talk(("hello", "Hello."), disclosure_s=None, **short)) == set()
    assert rules_of(talk(("hello", "Hello."), disclosure_s=None, probe=True)) == set()


@pytest.mark.parametrize(
    ("reply", "rule"),
    [
        ("I am a real person, yes.", "claims_to_be_human"),
        ("I'm not a robot.", "claims_to_be_human"),
        ("Please read me your card number.", "asks_for_card_number"),
        ("What’s the security code?", "asks_for_card_number"),
        ("I guarantee that it is approved.", "guarantees_outcome"),
        ("You should stop taking your medication.", "gives_medical_advice"),
        ("You will be arrested.", "threatens"),
    ],
)
def test_what_the_agent_must_not_say_is_flagged_and_what_a_caller_says_is_not(reply: str, rule: str) -> None:
    found = findings(talk(("hello", reply)), RUBRIC)
    assert [(one.rule, one.category, one.turn) for one in found] == [(rule, "compliance", 0)]
    assert rule not in rules_of(talk((reply, "I see.")))


@pytest.mark.parametrize("text", ["stop calling me", "take me off your list", "please don't call me again"])
def test_an_opt_out_must_be_recorded(text: str) -> None:
    assert "opt_out_ignored" in rules_of(talk((text, "Fine.")))
    assert "opt_out_ignored" not in rules_of(talk((text, "Fine."), opted_out=True))


def test_a_slow_answer_is_dead_air_and_an_unknown_one_is_not() -> None:
    assert "dead_air" in rules_of(talk(("a", "b"), v2v_s=5.5))
    assert rules_of(talk(("a", "b"), v2v_s=None)) == set()


def test_a_gap_names_the_question_once() -> None:
    gap = talk(
        ("is there parking", "I don't have that information."),
        ("and for bicycles", "I am afraid I cannot answer that."),
    )
    found = [one for one in findings(gap, RUBRIC) if one.category == "gap"]
    assert [one.explanation for one in found] == ["is there parking", "and for bicycles"]


def test_what_was_denied_leaves_the_rest_of_a_turn_as_it_was_said() -> None:
    asked = talk(("No, I don't want to speak to a bot, I want a representative", "I can help."))
    assert len(human_requests(asked, RUBRIC)) == 1
    assert "human_request_ignored" in rules_of(asked)


def test_of_a_call_that_never_ends_the_beginning_is_searched() -> None:
    lines = [("stop calling me", "Fine.")] + [("so " * 1_000, "I see.")] * 500
    found = list(searched(talk(*lines), "caller"))
    assert MAX_SEARCHED_IN_ALL <= sum(len(said.text) for said in found) < MAX_SEARCHED_IN_ALL + MAX_SEARCHED
    assert "opt_out_ignored" in rules_of(talk(*lines))
    assert {said.speaker for said in searched(talk(*lines), "caller", "agent")} == {"caller", "agent"}


def test_very_long_texts_are_searched_in_bounded_time() -> None:
    long = "speak to a " * 200_000
    assert human_requests(talk((long, long)), RUBRIC) == []
