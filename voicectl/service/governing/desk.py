"""The gate's desk of this host: its files, its audit log and the database of a profile."""

from pathlib import Path

from voicectl.core.errors import VoicectlError
from voicectl.core.paths import config_path
from voicectl.core.profile import Profile
from voicectl.governance.audit.log import AuditLog
from voicectl.governance.gate.desk import Desk
from voicectl.governance.gate.ledger import Ledger
from voicectl.governance.policy.load import load_policy
from voicectl.governance.rollout.load import EVIDENCE, REVIEWERS, gate_folder, policy_file
from voicectl.governance.store.location import location_of
from voicectl.governance.store.store import open_store
from voicectl.service.governing.open import audit_place

DATABASE_S = 60.0
"""Wait for a lock of the database and for each statement; nobody is on the phone."""
DAY_S = 86_400.0


def desk_of(
    profile: Profile, *, policy: Path | None = None, reviewers: Path | None = None, evidence: Path | None = None
) -> Desk:
    """Return the desk, with files in the place of the host's own where they are given. Raises PolicyInvalid."""
    location = location_of(profile.governance)
    folder, key = audit_place(profile.audit)
    own, events_days = config_path() / EVIDENCE, profile.governance.retention.events_days
    return Desk(
        policy=load_policy(policy or policy_file()),
        folder=gate_folder(),
        ledger=Ledger(AuditLog(folder), key),
        open_store=lambda: open_store(location, timeout_s=DATABASE_S, create=False),
        reviewers_file=reviewers or config_path() / REVIEWERS,
        evidence_file=evidence or (own if own.is_file() else None),
        events_kept_s=None if events_days is None else events_days * DAY_S,
    )


def demote_due(desk: Desk) -> dict[str, str]:
    """Take use cases out of traffic that the policy's alerts demote now; return them with the reasons.

    What is closed already stays as it is. No tier waits for another: the first error is raised at the end.
    """
    demoted: dict[str, str] = {}
    errors: list[VoicectlError] = []
    for tier in desk.policy.policy.tiers:
        try:
            due = desk.demotions_due(tier)
            enforced = desk.enforcement()
            still_open = {use_case: reason for use_case, reason in due.items() if enforced.is_open(use_case)}
            if still_open:
                desk.demote_each(still_open, by="alert")
            demoted |= still_open
        except VoicectlError as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return demoted
