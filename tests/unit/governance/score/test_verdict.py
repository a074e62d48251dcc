"""Rules decide hard facts, proofs stand above the judge, humans above all."""

from dataclasses import replace
from typing import Any

from tests.fakes.records import a_call, said
from voicectl.governance.score.conversation import Conversation
from voicectl.governance.score.judgement import Judgement
from voicectl.governance.score.rubric import packaged_rubric
from voicectl.governance.score.verdict import Verdict, by_humans, judge_digest, scored, unscorable

RUBRIC = packaged_rubric()
GOOD = Judgement("Solved.", "completed", "none", "not_needed", (), 0.5)
FINE = (("hi", "Hello."),)


def verdict(
    judgement: Judgement | None = GOOD,
    lines: tuple[tuple[str, str], ...] = FINE,
    **known: Any,
) -> Verdict:
    return scored(Conversation(a_call(**known), said("c1", *lines)), RUBRIC, judgement)


def test_the_judge_resolves_where_nobody_else_did() -> None:
    columns = verdict().columns
    assert (columns["resolved"], columns["resolved_by"], columns["score_state"]) == (True, "judge", "scored")
    assert verdict(replace(GOOD, task="not_completed")).columns["resolved"] is False


def test_an_unclear_task_stays_unknown() -> None:
    columns = verdict(replace(GOOD, task="unclear"), resolved=True, resolved_by="judge").columns
    assert (columns["resolved"], columns["resolved_by"]) == (None, None)


def test_a_proof_is_not_touched_by_the_judge() -> None:
    assert "resolved" not in verdict(resolved=False, resolved_by="proof").columns


def test_a_human_decides_what_was_asked_of_one_and_nothing_else() -> None:
    said_so = {
        "resolved": 0.4,
        "compliance_flagged": 0.5,
        "escalation_appropriate": 1.0,
        "sentiment": -1.0,
        "tone": 1.0,
    }
    assert by_humans(said_so) == {
        "resolved": False,
        "resolved_by": "human",
        "compliance_flagged": True,
        "escalation_appropriate": True,
        "sentiment": -1.0,
    }
    assert by_humans({"tone": 1.0}) == {}


def test_a_judge_cannot_clear_what_a_rule_found() -> None:
    found = verdict(disclosure_s=None)
    rows = {row.name: row for row in found.scores}
    assert found.columns["compliance_flagged"] is True
    assert (rows["compliance_flagged"].source, rows["disclosure_missing"].label) == ("rule", "compliance")


def test_a_judge_can_flag_what_no_rule_found() -> None:
    found = verdict(replace(GOOD, flags=("misleading",)))
    rows = {row.name: row for row in found.scores}
    assert found.columns["compliance_flagged"] is True
    assert rows["compliance_flagged"].source == "judge"
    assert "flag:misleading" in rows


def test_where_a_trigger_is_certain_the_rule_decides_the_escalation() -> None:
    asks = (("speak to a human", "One moment."),)
    assert verdict(lines=asks).columns["escalation_appropriate"] is False
    transferred = verdict(replace(GOOD, escalation="needless"), lines=asks, transfer_attempted=True)
    assert transferred.columns["escalation_appropriate"] is True
    assert verdict(replace(GOOD, escalation="needed")).columns["escalation_appropriate"] is False


def test_a_call_without_a_turn_needs_no_judge() -> None:
    found = scored(Conversation(a_call(num_turns=0), ()), RUBRIC, None)
    assert (found.columns["resolved"], found.columns["score_state"]) == (False, "scored")


def test_that_a_silent_caller_got_nothing_is_no_proof_should_the_caller_come_back() -> None:
    silent = scored(Conversation(a_call(num_turns=0), ()), RUBRIC, None).columns
    again = verdict(resolved=silent["resolved"], resolved_by=silent["resolved_by"])
    assert (again.columns["resolved"], again.columns["resolved_by"]) == (True, "judge")


def test_what_could_not_be_scored_keeps_what_rules_know_and_says_why() -> None:
    talk = Conversation(a_call(disclosure_s=None), said("c1", *FINE))
    found = unscorable(talk, RUBRIC, "no model")
    assert (found.columns["score_state"], found.columns["compliance_flagged"]) == ("failed", True)
    assert (found.columns["resolved"], found.columns["escalation_appropriate"]) == (None, None)
    assert [row.explanation for row in found.scores if row.name == "scoring"] == ["no model"]
    clean = unscorable(Conversation(a_call(), said("c1", *FINE)), RUBRIC, "no model")
    assert clean.columns["compliance_flagged"] is None


def test_the_judge_is_another_one_with_another_model_or_rubric() -> None:
    other = RUBRIC.model_copy(update={"version": "x"})
    assert len({judge_digest("a", RUBRIC), judge_digest("b", RUBRIC), judge_digest("a", other)}) == 3
