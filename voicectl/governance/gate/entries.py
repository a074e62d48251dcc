"""Since when a use case's calls are evidence, and its violations stand, by what was promoted and demoted. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from voicectl.core.records import Tier
from voicectl.governance.policy.schema import TIERS, Policy
from voicectl.governance.rollout.state import Change, RolloutState


@dataclass(frozen=True, slots=True)
class Entry:
    """Calls count that started from `since` on, and violations from `forgiven_at` on; never the later of the two."""

    since: float = 0.0
    forgiven_at: float = 0.0


ALWAYS: Final = Entry()
"""Of a use case that was never moved."""


def entries(policy: Policy, tier: Tier, state: RolloutState) -> Mapping[str, Entry]:
    """Return the entry of each use case of a tier.

    A demotion begins its use case's evidence anew, and so does a promotion into another tier; one of what is open in
    it already does not. Violations lapse at a demotion, and only once a promotion came after it. Of folded changes
    only the last of a use case is known: it begins the evidence, and forgives nothing.
    """
    before = TIERS[0] if state.base is None else None
    return {
        name: _entry([change for change in state.known_changes if name in change.use_cases], before)
        for name in policy.tiers[tier].use_cases
    }


def _entry(changes: list[Change], tier: Tier | None) -> Entry:
    """Return the entry that these changes make of a use case that was in `tier` before, None where nobody knows."""
    since, forgiven_at, demoted_at = 0.0, 0.0, None
    for change in changes:
        if change.action == "demote":
            demoted_at = change.at
        elif demoted_at is not None:
            forgiven_at, demoted_at = demoted_at, None
        elif change.tier == tier:
            continue
        # A clock that was set back must not bring calls back.
        since, tier = max(since, change.at), change.tier
    return Entry(since, forgiven_at)
