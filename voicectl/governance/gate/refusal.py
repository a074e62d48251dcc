"""Turn a verdict that does not open into the error of its kind, with the next step. Pure."""

from typing import Final

from voicectl.core.errors import VoicectlError
from voicectl.governance.gate.explanation import next_step, shortfalls
from voicectl.governance.gate.verdict import Decision, Verdict
from voicectl.governance.policy.errors import (
    AuditBroken,
    CriterionFailed,
    EvidenceUnfit,
    GateHeld,
    SignOffMissing,
    ZeroToleranceEvent,
)
from voicectl.governance.policy.schema import Policy

_ERRORS: Final[dict[Decision, type[VoicectlError]]] = {
    "hold": GateHeld,
    "failed": CriterionFailed,
    "unfit": EvidenceUnfit,
    "unsigned": SignOffMissing,
    "broken": AuditBroken,
    "stopped": ZeroToleranceEvent,
}


def refused(verdict: Verdict, policy: Policy) -> VoicectlError:
    """Return the error that tells why a tier stays closed. The verdict is none that promotes."""
    reasons = [line.text for line in shortfalls(verdict, policy)]
    return _ERRORS[verdict.decision](
        f"tier {verdict.tier} stays closed: " + "\n       ".join(reasons), hint=next_step(verdict)
    )
