"""Short made-up calls that a human labelled: what a judge is measured by where no reviews are at hand."""

import json
from dataclasses import dataclass
from pathlib import Path

from voicectl.core.records import CallRow, TurnRow
from voicectl.governance.score.conversation import Conversation

FILE = Path(__file__).parent.parent / "data" / "judged_calls.jsonl"
STARTED_AT = 1_750_000_000.0


@dataclass(frozen=True, slots=True)
class JudgedCall:
    conversation: Conversation
    resolved: bool
    compliance_flagged: bool
    escalation_appropriate: bool


def judged_calls() -> list[JudgedCall]:
    return [_call(json.loads(line)) for line in FILE.read_text().splitlines()]


def _call(row: dict) -> JudgedCall:  # type: ignore[type-arg]
    turns = tuple(
        TurnRow(row["call_id"], number, transcript=turn["caller"], reply=turn["agent"], v2v_s=0.6)
        for number, turn in enumerate(row["turns"])
    )
    call = CallRow(
        row["call_id"],
        row["use_case"],
        "low",
        STARTED_AT,
        answered_at=STARTED_AT + 1,
        ended_at=STARTED_AT + 61,
        end_reason=row["ended"],
        abandoned=False,
        num_turns=len(turns),
        disclosure_s=2.0,
        escalated=row["transferred"],
        transfer_attempted=row["transferred"],
        transfer_payload_digest="d" * 64 if row["transferred"] else None,
        transfer_complete=True if row["transferred"] else None,
        transfer_result="succeeded" if row["transferred"] else None,
    )
    return JudgedCall(
        Conversation(call, turns), row["resolved"], row["compliance_flagged"], row["escalation_appropriate"]
    )
