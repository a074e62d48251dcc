"""Make what a profile asks for: its redactors, and its audit log."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicectl.core.paths import store_path
from voicectl.core.profile import Profile
from voicectl.core.sections.redaction import Audit, Redaction
from voicectl.governance.audit.keys import PRIVATE_NAME
from voicectl.governance.audit.log import AuditLog, audit_folder
from voicectl.governance.audit.trail import AuditThread
from voicectl.governance.redact.policy import Action, Policy, read_key
from voicectl.governance.redact.redactor import PolicyRedactor
from voicectl.service.governing.states import StateRedactor

KEY_FILE: Final = "redaction/redaction.key"


@dataclass(frozen=True, slots=True)
class Governing:
    """What stands between calls and what is kept of them; None is what the profile does not want."""

    redactor: PolicyRedactor | None = None
    states: StateRedactor | None = None
    audit: AuditThread | None = None


UNGOVERNED: Final = Governing()


def governing(profile: Profile) -> Governing:
    """Return what the profile asks for; the audit log is not open yet. Raises ConfigError."""
    redactor = open_redactor(profile.redaction)
    states = None if redactor is None else StateRedactor(redactor, PolicyRedactor(for_instructions(redactor.policy)))
    return Governing(redactor, states, audit_thread(profile.audit))


def open_redactor(settings: Redaction) -> PolicyRedactor | None:
    """Return the redactor of the settings, None when they want none. Raises ConfigError for its key."""
    if not settings.enabled:
        return None
    path = Path(settings.hash_key_file).expanduser() if settings.hash_key_file is not None else store_path() / KEY_FILE
    return PolicyRedactor(
        Policy(
            kinds={str(kind): action for kind, action in settings.kinds.items()},
            fields=dict(settings.fields),
            tags={str(tag): action for tag, action in settings.tags.items()},
            key=read_key(path) if settings.needs_key else None,
            region=settings.phone_region,
        )
    )


def for_instructions(policy: Policy) -> Policy:
    """Return the policy for texts of the operator, whose own addresses and numbers may stay."""
    kinds: dict[str, Action] = {**policy.kinds, "email": "keep", "phone": "keep", "birth": "keep"}
    return Policy(kinds=kinds, key=policy.key, region=policy.region)


def audit_thread(settings: Audit) -> AuditThread | None:
    """Return the writer of the audit log, not yet open; None when the settings want none."""
    if not settings.enabled:
        return None
    folder, key = audit_place(settings)
    return AuditThread(AuditLog(folder), key)


def audit_place(settings: Audit) -> tuple[Path, Path]:
    """Return the folder of the audit log and the file of its private key."""
    folder = Path(settings.folder).expanduser() if settings.folder is not None else audit_folder()
    key = Path(settings.key_file).expanduser() if settings.key_file is not None else folder / PRIVATE_NAME
    return folder, key
