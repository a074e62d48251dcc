"""What the judge may answer: a JSON schema made from the rubric, and the reading of a reply by it."""

import functools
import json
from dataclasses import dataclass
from typing import Any, Final, Literal

import jsonschema_rs

from voicectl.core.errors import VoicectlError
from voicectl.governance.score.rubric import Rubric

Task = Literal["completed", "not_completed", "unclear"]
EscalationGrade = Literal["appropriate", "needed", "needless", "not_needed"]

MAX_REASON: Final = 160
MAX_REPLY: Final = 4_000
SENTIMENTS: Final = {"very_negative": -1.0, "negative": -0.5, "neutral": 0.0, "positive": 0.5, "very_positive": 1.0}


class MalformedJudgement(VoicectlError):
    """A reply of the judge is not what was asked for."""

    exit_code = 3


@dataclass(frozen=True, slots=True)
class Judgement:
    """One reply of the judge. `flags` are the rubric's that it raised; `sentiment` is from -1 to 1."""

    reason: str
    task: Task
    failure: str
    escalation: EscalationGrade
    flags: tuple[str, ...]
    sentiment: float


def reply_schema(rubric: Rubric) -> dict[str, Any]:
    """Return the JSON schema of a reply. The reason comes first, so that the grades follow from it.

    Of each grade the least favourable comes first: a model too weak to choose takes the first it is offered.
    """
    properties: dict[str, Any] = {
        "reason": {"type": "string", "minLength": 1, "maxLength": MAX_REASON},
        "task": {"enum": ["unclear", "not_completed", "completed"]},
        "failure": {"enum": [*rubric.judge.failures[1:], rubric.judge.failures[0]]},
        "escalation": {"enum": ["needed", "needless", "appropriate", "not_needed"]},
        "flags": _closed({name: {"type": "boolean"} for name in rubric.judge.flags}),
        "sentiment": {"enum": list(SENTIMENTS)},
    }
    return _closed(properties)


def parse_judgement(reply: str, rubric: Rubric, *, was_transferred: bool | None) -> Judgement:
    """Return what a reply says. Raises MalformedJudgement when it breaks the schema or contradicts itself.

    The grade of an escalation has to fit whether a human took over, where that is known.
    """
    if len(reply) > MAX_REPLY:
        raise MalformedJudgement(f"the judge wrote {len(reply)} characters, at most {MAX_REPLY}")
    try:
        found = json.loads(reply)
    except (ValueError, RecursionError) as error:
        raise MalformedJudgement(f"the judge's reply is no JSON: {error}") from error
    breach = next(iter(_validator(rubric).iter_errors(found)), None)
    if breach is not None:
        place = ".".join(str(part) for part in breach.instance_path) or "the reply"
        raise MalformedJudgement(f"the judge's reply breaks its schema at {place}: {breach.message[:200]}")
    return Judgement(
        reason=found["reason"],
        task=found["task"],
        failure="none" if found["task"] == "completed" else found["failure"],
        escalation=_fitting(found["escalation"], was_transferred),
        flags=tuple(name for name, raised in found["flags"].items() if raised),
        sentiment=SENTIMENTS[found["sentiment"]],
    )


def _fitting(grade: EscalationGrade, was_transferred: bool | None) -> EscalationGrade:
    """Return the grade in the words of what is known to have happened; what it says of the outcome stays.

    `appropriate` and `needed` both say that a human had to take over, `needless` and `not_needed` that none had to.
    """
    if was_transferred is None:
        return grade
    if grade in ("appropriate", "needed"):
        return "appropriate" if was_transferred else "needed"
    return "needless" if was_transferred else "not_needed"


@functools.lru_cache(maxsize=4)
def _validator_of(schema: str) -> Any:
    return jsonschema_rs.validator_for(json.loads(schema))


def _validator(rubric: Rubric) -> Any:
    return _validator_of(json.dumps(reply_schema(rubric)))


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
