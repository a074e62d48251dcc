"""Refuse to open anything by files that the service of this host does not read, or by a clock that was turned back."""

import datetime as dt
from pathlib import Path

from voicectl.governance.gate.verdict import Draft
from voicectl.governance.policy.errors import EvidenceUnfit, PolicyInvalid, SignOffMissing
from voicectl.governance.policy.load import LoadedPolicy
from voicectl.governance.rollout.load import InForce
from voicectl.governance.rollout.state import read_state
from voicectl.governance.signoff.reviewers import Reviewers
from voicectl.governance.signoff.statement import CLOCK_SKEW_S


def drafts(policy: LoadedPolicy, reviewers: Reviewers | None, force: InForce) -> tuple[Draft, ...]:
    """Return which of the files at hand are not those in force, by their bytes."""
    at_hand: tuple[tuple[Draft, str | None, str | None], ...] = (
        ("policy", policy.sha256, force.policy[1]),
        ("reviewers", None if reviewers is None else reviewers.sha256, force.reviewers[1]),
    )
    return tuple(name for name, here, there in at_hand if here != there)


def refuse_drafts(policy: LoadedPolicy, reviewers: Reviewers | None, force: InForce) -> None:
    """Raise PolicyInvalid or SignOffMissing for files that are not in force: the service would open by other ones."""
    found = drafts(policy, reviewers, force)
    if "policy" in found:
        raise PolicyInvalid(
            f"{policy.path}: is not the policy in force on this host, {force.policy[0]}",
            hint="`gate check` reads drafts; sign and promote by the policy in force, without --policy and "
            "VOICECTL_GATE_POLICY",
        )
    if "reviewers" in found:
        raise SignOffMissing(
            f"{'no reviewers' if reviewers is None else reviewers.path}: is not the file of reviewers in force on this "
            f"host, {force.reviewers[0]}",
            hint="put it there: the service knows no other; docs/gating.md shows one",
        )


def refuse_earlier(now: float, state_file: Path) -> None:
    """Raise EvidenceUnfit when the clock was turned back: what has expired would be valid again."""
    newest_at = read_state(state_file).newest_at
    if now < newest_at - CLOCK_SKEW_S:
        raise EvidenceUnfit(
            f"the clock says {_instant(now)}, but the newest change of {state_file} is of {_instant(newest_at)}",
            hint="set the clock right: `date --utc` tells it",
        )


def _instant(at: float) -> str:
    return f"{dt.datetime.fromtimestamp(at, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
