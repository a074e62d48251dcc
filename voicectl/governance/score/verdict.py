"""Fold what rules and judge say of a call, and what humans do, into score rows and columns. Touches no database."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from voicectl.governance.score.conversation import Conversation
from voicectl.governance.score.judgement import Judgement, reply_schema
from voicectl.governance.score.prompt import PROMPT_VERSION, instructions_of
from voicectl.governance.score.rubric import Rubric
from voicectl.governance.score.rules import Finding, findings, human_requests, misunderstandings_in_a_row

Source = Literal["rule", "judge", "human"]

RESOLVED: Final = "resolved"
FLAGGED: Final = "compliance_flagged"
ESCALATION: Final = "escalation_appropriate"
SENTIMENT: Final = "sentiment"
GRADED: Final = (RESOLVED, FLAGGED, ESCALATION)
"""Names of scores that are yes or no, as humans and the judge give them; also columns of a call."""
FAILURE: Final = "failure"
SCORING: Final = "scoring"
FLAG_PREFIX: Final = "flag:"
DECIDING: Final = 0.5
"""A yes-or-no score counts as yes from here on."""


@dataclass(frozen=True, slots=True)
class Score:
    """One row of `scores`, without the call it belongs to and the instant."""

    name: str
    source: Source
    value: float | None = None
    label: str | None = None
    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What scoring a call comes to: the rows to store, and the columns of the call to set."""

    scores: tuple[Score, ...]
    columns: Mapping[str, Any]


def judge_digest(model_digest: str, rubric: Rubric) -> str:
    """Return what names a judge: any change of model, rubric, prompt or schema makes it another one."""
    parts = [model_digest, rubric.digest, PROMPT_VERSION, instructions_of(rubric), reply_schema(rubric)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def scored(conversation: Conversation, rubric: Rubric, judgement: Judgement | None) -> Verdict:
    """Return the verdict on a call that could be scored; without a judgement the caller said nothing in it."""
    found = findings(conversation, rubric)
    flags = judgement.flags if judgement else ()
    hard = [finding.rule for finding in found if finding.category == "compliance"]
    is_flagged = bool(hard or flags)
    escalation, decided_by = _escalation(conversation, rubric, found, judgement)
    rows = [_row(finding) for finding in found]
    rows.append(
        Score(FLAGGED, "rule" if hard or judgement is None else "judge", float(is_flagged), None, _named(hard, flags))
    )
    if escalation is not None:
        rows.append(Score(ESCALATION, decided_by, float(escalation)))
    if judgement is not None:
        rows += _judged(judgement)
    columns: dict[str, Any] = {FLAGGED: is_flagged, ESCALATION: escalation}
    columns[SENTIMENT] = judgement.sentiment if judgement else None
    columns |= _resolution(conversation, judgement)
    return Verdict(tuple(rows), {**columns, "score_state": "scored"})


def unscorable(conversation: Conversation, rubric: Rubric, reason: str) -> Verdict:
    """Return the verdict on a call that the judge could not score: what the rules know, and why there is no more."""
    found = findings(conversation, rubric)
    hard = [finding.rule for finding in found if finding.category == "compliance"]
    rows = [_row(finding) for finding in found]
    if hard:
        rows.append(Score(FLAGGED, "rule", 1.0, None, _named(hard, ())))
    rows.append(Score(SCORING, "judge", None, "failed", reason))
    return Verdict(tuple(rows), {**_unknown(conversation), FLAGGED: True if hard else None})


def given_up(conversation: Conversation, reason: str) -> Verdict:
    """Return the verdict on a call on which scoring itself broke."""
    return Verdict((Score(SCORING, "judge", None, "failed", reason),), _unknown(conversation))


def by_humans(humans: Mapping[str, float]) -> dict[str, Any]:
    """Return the columns of a call that its latest human scores, by name, decide above rules, proofs and judge."""
    columns: dict[str, Any] = {name: humans[name] >= DECIDING for name in GRADED if name in humans}
    if RESOLVED in humans:
        columns["resolved_by"] = "human"
    if SENTIMENT in humans:
        columns[SENTIMENT] = humans[SENTIMENT]
    return columns


def need_no_judge(humans: Mapping[str, float]) -> bool:
    """Tell whether humans said all of a call that has to be known."""
    return RESOLVED in humans and FLAGGED in humans


def _escalation(
    conversation: Conversation, rubric: Rubric, found: tuple[Finding, ...], judgement: Judgement | None
) -> tuple[bool | None, Source]:
    """Return whether a human took over exactly if one had to, and who decided it: where a rule can, it does."""
    if any(finding.category == "escalation" for finding in found):
        return False, "rule"
    had_to = bool(human_requests(conversation, rubric)) or (
        misunderstandings_in_a_row(conversation, rubric) >= rubric.limits.misunderstandings
    )
    if conversation.call.transfer_attempted and had_to:
        return True, "rule"
    if judgement is None:
        return None, "judge"
    return judgement.escalation in ("appropriate", "not_needed"), "judge"


def _unknown(conversation: Conversation) -> dict[str, Any]:
    """Return the columns of a call without a judgement: without one, nobody knows that there was nothing else."""
    nothing = {FLAGGED: None, ESCALATION: None, SENTIMENT: None}
    return {**nothing, **_resolution(conversation, None), "score_state": "failed"}


def _resolution(conversation: Conversation, judgement: Judgement | None) -> dict[str, Any]:
    """Return the columns of resolution. A proof stands above the judge, and what a human imported, too."""
    if conversation.call.resolved_by in ("proof", "human"):
        return {}
    if judgement is None and conversation.caller_was_silent:
        # Nobody said what they wanted: that nothing was resolved needs no judge. It is no proof that would
        # stand against a judge, should the caller come back to this call.
        return {RESOLVED: False, "resolved_by": None}
    if judgement is None or judgement.task == "unclear":
        return {RESOLVED: None, "resolved_by": None}
    return {RESOLVED: judgement.task == "completed", "resolved_by": "judge"}


def _judged(judgement: Judgement) -> list[Score]:
    task = {"completed": 1.0, "not_completed": 0.0, "unclear": None}[judgement.task]
    return [
        Score(RESOLVED, "judge", task, judgement.task, judgement.reason),
        Score(FAILURE, "judge", None, judgement.failure),
        Score("escalation", "judge", None, judgement.escalation),
        Score(SENTIMENT, "judge", judgement.sentiment),
        *(Score(f"{FLAG_PREFIX}{name}", "judge", 1.0, "compliance") for name in judgement.flags),
    ]


def _row(finding: Finding) -> Score:
    place = "" if finding.turn is None else f"turn {finding.turn}: "
    # The question itself is what gaps are grouped by.
    text = finding.explanation if finding.category == "gap" else place + finding.explanation
    return Score(finding.rule, "rule", 1.0, finding.category, text)


def _named(hard: list[str], flags: tuple[str, ...]) -> str | None:
    return ", ".join([*hard, *(f"{name} (judge)" for name in flags)]) or None
