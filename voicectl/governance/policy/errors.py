"""Why a gate does not open, as exit codes 20 to 26. Knows no evidence."""

from voicectl.core.errors import VoicectlError


class GateHeld(VoicectlError):
    """There is not enough evidence yet."""

    exit_code = 20


class CriterionFailed(VoicectlError):
    """The evidence shows that a criterion does not hold."""

    exit_code = 21


class EvidenceUnfit(VoicectlError):
    """Evidence is missing, stale or cannot be believed."""

    exit_code = 22


class SignOffMissing(VoicectlError):
    """Signatures are missing, expired, or not those of the people that the policy asks for."""

    exit_code = 23


class PolicyInvalid(VoicectlError):
    """The policy, or another file a person wrote for the gate, cannot be meant."""

    exit_code = 24


class AuditBroken(VoicectlError):
    """The audit log is not the one that was written."""

    exit_code = 25


class ZeroToleranceEvent(VoicectlError):
    """Something happened that no statistic outweighs."""

    exit_code = 26
