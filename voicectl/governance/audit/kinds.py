"""What an audit log tells of: the kinds of entries and the fields of each. Knows no chain and no file."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from voicectl.core.errors import VoicectlError

Scalar = str | int | float | bool | None
Details = dict[str, Scalar | list[str]]


class AuditEntryRefused(VoicectlError):
    """Something cannot be written into the audit log: its kind is unknown, or a field is missing, extra or wrong."""

    exit_code = 3


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What every kind may add: facts without a field of their own."""

    details: Details = {}


class LogCreated(_Body, frozen=True, kw_only=True):
    """The first entry. `log` is drawn at random, so that no log passes for another one.

    The detail `reason` is why it was begun on purpose; one that began by itself has none.
    """

    log: str


class LogRepaired(_Body, frozen=True, kw_only=True):
    """An entry that a crash left unfinished was taken off the end; these are its bytes, base64."""

    num_bytes: int
    sha256: str
    content: str


class ConsentChecked(_Body, frozen=True, kw_only=True):
    """Whether a caller's consent was on record before something was done that needs it."""

    call_id: str
    purpose: str
    result: Literal["granted", "missing", "revoked", "expired", "unknown"]
    consent_id: str | None = None
    text_hash: str | None = None


class DisclosureMade(_Body, frozen=True, kw_only=True):
    """The caller was told what answers: `after_s` seconds into the call."""

    call_id: str
    after_s: float
    text_hash: str | None = None


class RedactionApplied(_Body, frozen=True, kw_only=True):
    """What was taken out of the texts of a call, by kind."""

    call_id: str
    counts: dict[str, int]


class TransferAttempted(_Body, frozen=True, kw_only=True):
    """A call was to be handed to a person."""

    call_id: str
    result: Literal["requested", "succeeded", "failed", "abandoned"]
    reason: str = ""
    payload_digest: str | None = None


class ConfigurationChanged(_Body, frozen=True, kw_only=True):
    """The service runs with another profile or prompt. Digests are sha256, hexadecimal."""

    profile: str
    digest: str
    prompt_digest: str
    previous: str | None = None


class ModelChanged(_Body, frozen=True, kw_only=True):
    """The service runs other models: the digest of their pins, and of each role its name."""

    digest: str
    models: dict[str, str]
    previous: str | None = None


class GateDecided(_Body, frozen=True, kw_only=True):
    """A gate was asked whether a use case may move up."""

    use_case: str
    tier: str
    verdict: str
    policy_digest: str
    evidence_digest: str
    configuration_digest: str | None = None
    exit_code: int | None = None


class SignoffRecorded(_Body, frozen=True, kw_only=True):
    """A named person signed for a decision. `digest` is of the signed statement."""

    use_case: str
    tier: str
    reviewer: str
    role: str
    digest: str
    expires_at: float | None = None


class TierChanged(_Body, frozen=True, kw_only=True):
    """A use case moved. `by` is who did it, a person or the alert that asked for it."""

    use_case: str
    previous: str
    tier: str
    by: str
    reason: str


class EnforcementChanged(_Body, frozen=True, kw_only=True):
    """The service gives traffic to these use cases alone from now on. `problem` is why nothing is open.

    Where nothing is enforced, `enforced` is False and `open` is `*`.
    """

    open: list[str]
    state_digest: str
    policy_digest: str | None = None
    problem: str | None = None
    enforced: bool = True


class TrafficRefused(_Body, frozen=True, kw_only=True):
    """The service refused a call of a use case; told once for each reason until the enforcement changes."""

    use_case: str
    code: str
    reason: str


class ViolationReported(_Body, frozen=True, kw_only=True):
    """Somebody reported a zero-tolerance event by a file with the digest `source`; without a use case it is of all."""

    violation: str
    happened_at: float
    source: str
    call_id: str | None = None
    use_case: str | None = None


KINDS: Final[Mapping[str, type[_Body]]] = {
    "log_created": LogCreated,
    "log_repaired": LogRepaired,
    "consent_checked": ConsentChecked,
    "disclosure_made": DisclosureMade,
    "redaction_applied": RedactionApplied,
    "transfer_attempted": TransferAttempted,
    "configuration_changed": ConfigurationChanged,
    "model_changed": ModelChanged,
    "gate_decided": GateDecided,
    "signoff_recorded": SignoffRecorded,
    "tier_changed": TierChanged,
    "enforcement_changed": EnforcementChanged,
    "traffic_refused": TrafficRefused,
    "violation_reported": ViolationReported,
}


def checked_body(kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of an entry as it is written. Raises AuditEntryRefused, naming the field."""
    if kind not in KINDS:
        raise AuditEntryRefused(
            f"audit log: {kind!r} is no kind of entry", hint=f"kinds are {', '.join(sorted(KINDS))}"
        )
    try:
        known = msgspec.convert(dict(body), KINDS[kind])
    except msgspec.ValidationError as error:
        raise AuditEntryRefused(f"audit log: {kind}: {error}") from error
    written: dict[str, Any] = msgspec.to_builtins(known)
    return written
