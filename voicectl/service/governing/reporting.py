"""Tell the audit log which violations people reported."""

from collections.abc import Mapping, Sequence
from typing import Any

from voicectl.core.sections.redaction import Audit
from voicectl.governance.audit.log import AuditLog
from voicectl.service.governing.open import audit_place


def tell_reported(settings: Audit, violations: Sequence[Mapping[str, Any]], source: str) -> None:
    """Write an entry for each violation of the file with the digest `source`. Raises the errors of the audit log."""
    if not settings.enabled:
        return
    audit = AuditLog(audit_place(settings)[0])
    for one in violations:
        audit.append(
            "violation_reported",
            {
                "violation": one["kind"],
                "happened_at": one["at"],
                "source": source,
                "call_id": one["call_id"],
                "use_case": one["use_case"],
            },
        )
