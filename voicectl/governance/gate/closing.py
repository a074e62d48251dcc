"""Take use cases out of traffic, whatever else is wrong: write the rollout state, then tell the audit log."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from voicectl.core.errors import UsageError, VoicectlError
from voicectl.core.records import Tier
from voicectl.governance.gate.ledger import Ledger
from voicectl.governance.policy.errors import AuditBroken, SignOffMissing
from voicectl.governance.policy.load import LoadedPolicy
from voicectl.governance.policy.persons import in_a_line
from voicectl.governance.rollout.state import (
    Change,
    Enforcement,
    RolloutState,
    appended,
    changing,
    read_state,
    write_state,
)


def close(
    policy: LoadedPolicy, ledger: Ledger, state_file: Path, reasons: Mapping[str, str], *, by: str, now: float
) -> RolloutState:
    """Demote use cases, each for its reason, in one step: none of them waits for another, or for the audit log.

    Raises UsageError for one that is not listed, SignOffMissing when the state cannot be read, and AuditBroken when
    they are out and the audit log could not be told.
    """
    grouped = _grouped(policy, reasons)
    with changing(state_file):
        before = read_state(state_file)
        if before.problem is not None:
            # Nothing is open as it is; a new file would open the lowest tier again.
            raise SignOffMissing(
                f"{before.problem}; nothing is open", hint="keep the file as evidence, restore it, then demote again"
            )
        # A clock that was turned back is no reason to leave anything open.
        at = max(now, before.newest_at)
        changes = [
            Change(action="demote", tier=tier, use_cases=tuple(names), at=at, by=in_a_line(by), reason=reason)
            for (tier, reason), names in grouped.items()
        ]
        after = write_state(state_file, appended(before, *changes))
    _tell(ledger, changes, Enforcement(policy.policy, before))
    return after


def _grouped(policy: LoadedPolicy, reasons: Mapping[str, str]) -> dict[tuple[Tier, str], list[str]]:
    """Return the use cases by tier and reason: each group is a change."""
    grouped: dict[tuple[Tier, str], list[str]] = {}
    for use_case, reason in reasons.items():
        tier = policy.policy.tier_of(use_case)
        if tier is None:
            raise UsageError(
                f"{in_a_line(use_case)}: {policy.path} lists no such use case", hint="see `voicectl gate status`"
            )
        grouped.setdefault((tier, in_a_line(reason)), []).append(use_case)
    return grouped


def _tell(ledger: Ledger, changes: Sequence[Change], before: Enforcement) -> None:
    """Tell the audit log of each use case, whatever becomes of the others."""
    errors: list[VoicectlError] = []
    for change in changes:
        for use_case in change.use_cases:
            try:
                ledger.note_change(msgspec.structs.replace(change, use_cases=(use_case,)), before)
            except VoicectlError as error:
                errors.append(error)
    if errors:
        told = "; ".join(dict.fromkeys(error.message for error in errors))
        raise AuditBroken(f"no traffic any more, but the audit log was not told: {told}", hint=errors[0].hint)
