"""The columns of the files that may be imported: their names, what may stand in them, which must be there."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

from voicectl.core.sections.governance import USE_CASE_PATTERN
from voicectl.governance.policy.schema import Violation
from voicectl.governance.store import cells

ImportKind = Literal["outcomes", "complaints", "reviews", "violations"]

_ID: Final = cells.text(64, pattern=re.compile(r"[A-Za-z0-9_.:-]+"))
_OUTCOMES: Final[Mapping[str, cells.Reader]] = {
    "resolved": cells.yes_or_no,
    "resolved_by": cells.choice("proof", "human"),
    "escalated": cells.yes_or_no,
    "escalation_trigger": cells.text(64),
    "escalation_appropriate": cells.yes_or_no,
    "abandoned": cells.yes_or_no,
    "transfer_attempted": cells.yes_or_no,
    "transfer_payload_digest": cells.text(64, pattern=re.compile(r"[0-9a-f]{64}")),
    "transfer_complete": cells.yes_or_no,
    "transfer_result": cells.choice("succeeded", "failed", "abandoned"),
    "screen_pop_at": cells.instant,
    "human_answer_at": cells.instant,
    "dead_air_s": cells.number(0.0, 86_400.0),
    "opted_out": cells.yes_or_no,
    "csat": cells.number(-100.0, 100.0),
    "cost": cells.number(0.0, 1e9),
    "deflected": cells.yes_or_no,
    "dtmf_paused": cells.yes_or_no,
    "baa_complete": cells.yes_or_no,
}
"""Columns of a call that a file of outcomes may set; what it leaves empty stays as it is."""
COLUMNS: Final[Mapping[ImportKind, Mapping[str, cells.Reader]]] = {
    "outcomes": {"call_id": _ID, **_OUTCOMES},
    "complaints": {
        "complaint_id": _ID,
        "call_id": _ID,
        "received_at": cells.instant,
        "category": cells.text(64),
    },
    "reviews": {
        "call_id": _ID,
        "name": cells.text(64, pattern=re.compile(r"[a-z][a-z0-9_]*")),
        "value": cells.number(0.0, 1.0),
        "label": cells.text(64),
        "explanation": cells.text(4000),
        "reviewer": cells.text(64),
        "rubric_version": cells.text(32),
        "at": cells.instant,
    },
    "violations": {
        "kind": cells.choice(*get_args(Violation)),
        "at": cells.instant,
        "call_id": _ID,
        "use_case": cells.text(64, pattern=re.compile(USE_CASE_PATTERN)),
        "detail": cells.text(4000),
    },
}
REQUIRED: Final[Mapping[ImportKind, Sequence[str]]] = {
    "outcomes": ("call_id",),
    "complaints": ("complaint_id", "call_id", "received_at"),
    "reviews": ("call_id", "name", "value", "reviewer", "at"),
    "violations": ("kind", "at"),
}
KEYS: Final[Mapping[ImportKind, Sequence[str]]] = {
    "outcomes": ("call_id",),
    "complaints": ("complaint_id",),
    "reviews": ("call_id", "name", "reviewer"),
    "violations": ("kind", "at", "call_id", "use_case"),
}
"""What may stand in a file once."""
