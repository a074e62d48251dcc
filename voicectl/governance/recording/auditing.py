"""What of a call's events the audit log tells: consent, disclosure, transfers. Pure; holds no words."""

from typing import Any

from voicectl.core.records import GovernanceEvent
from voicectl.governance.recording import kinds
from voicectl.governance.recording.compliance import STATED, consent_result

AuditEntry = tuple[str, dict[str, Any]]


def audit_entries(event: GovernanceEvent, started_at: float) -> tuple[AuditEntry, ...]:
    """Return the kind and the body of each entry; `started_at` is the start of the call, since the epoch."""
    call_id, body = event.call_id, event.body
    match event.kind:
        case kinds.STARTED:
            return _consent(call_id, body)
        case kinds.REPLIED if body.get("disclosed_at") is not None:
            after_s = round(max(0.0, body["disclosed_at"] - started_at), 3)
            return (("disclosure_made", {"call_id": call_id, "after_s": after_s}),)
        case kinds.TOOL_CALLED if body.get("transfers"):
            digest = body.get("payload_digest")
            return (_transfer(call_id, f"function {body.get('name')}", digest),)
        case kinds.TRANSFER_TOLD if body.get("transfer_result") is not None:
            return (_transfer(call_id, "", None, result=body["transfer_result"]),)
        case kinds.ESCALATED:
            return (_transfer(call_id, body.get("reason") or "", None),)
        case _:
            return ()


def _consent(call_id: str, body: dict[str, Any]) -> tuple[AuditEntry, ...]:
    """Return the check of a dialled call, and of any call that came with a consent; others need none."""
    outbound = body.get("direction") == "outbound"
    told = {name: body[name] for name in STATED if body.get(name) is not None and name != "direction"}
    # Of a person, and nothing is ever taken out of the audit log.
    told.pop("consent_ip", None)
    if not outbound and not told:
        return ()
    entry = {
        "call_id": call_id,
        "purpose": "outbound_call" if outbound else "inbound_call",
        "result": consent_result(told, body["started_at"]),
        "consent_id": told.pop("consent_id", None),
        "text_hash": told.pop("consent_text_hash", None),
        "details": told,
    }
    return (("consent_checked", entry),)


def _transfer(call_id: str, reason: str, digest: str | None, *, result: str = "requested") -> AuditEntry:
    return "transfer_attempted", {
        "call_id": call_id, "result": result, "reason": reason, "payload_digest": digest,
    }  # fmt: skip
