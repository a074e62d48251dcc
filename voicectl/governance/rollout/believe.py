"""Tell whether a rollout state is what reviewers signed for: every promotion in it, by the keys of today's file."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import replace

from voicectl.governance.policy.errors import SignOffMissing
from voicectl.governance.policy.schema import Policy
from voicectl.governance.rollout.state import Change, RolloutState
from voicectl.governance.signoff.envelope import SignOff, open_sealed
from voicectl.governance.signoff.reviewers import Reviewers, same_person


def believed(state: RolloutState, policy: Policy, reviewers: Reviewers | None) -> RolloutState:
    """Return the state, with a `problem` when a promotion in it was not signed as the policy asks.

    Without reviewers no promotion can be believed. What was replaced by a later change is checked no more.
    """
    if state.problem is not None:
        return state
    for number, change in enumerate(state.changes):
        if change.action == "promote" and any(state.last_change(name) is change for name in change.use_cases):
            problem = _problem(change, policy, reviewers)
            if problem is not None:
                return replace(state, problem=f"change {number + 1} ({change.tier}): {problem}")
    return state


def continued(before: RolloutState, after: RolloutState) -> RolloutState:
    """Return `after`, with a `problem` when it lost changes that `before` had: one of them may have been a demotion."""
    if after.problem is None and after.changes[: before.serial] != before.changes:
        return replace(
            after,
            problem=f"the file no longer begins with the {before.serial} changes that were enforced before: "
            "restart the service to take it as it is",
        )
    return after


def _problem(change: Change, policy: Policy, reviewers: Reviewers | None) -> str | None:
    if reviewers is None:
        return "there is no file of reviewers to check its signatures by"
    try:
        signoffs = list(_opened(change, reviewers))
    except SignOffMissing as error:
        return error.message
    valid = {one.signed.role: one.reviewer.name for one in signoffs if _is_for(one, change)}
    missing = [role for role in policy.signoff.require if role not in valid]
    if missing:
        return f"not signed by {', '.join(missing)}"
    people = [valid[role] for role in policy.signoff.require]
    if policy.signoff.distinct_people and any(
        same_person(one, other) for place, one in enumerate(people) for other in people[:place]
    ):
        return "signed by one person for several roles"
    return None


def _is_for(signoff: SignOff, change: Change) -> bool:
    signed = signoff.signed
    return (
        (signed.tier, signed.use_cases) == (change.tier, change.use_cases)
        and signed.role in signoff.reviewer.roles
        and same_person(signed.reviewer, signoff.reviewer.name)
        and signed.date <= change.at + 60.0
        and change.at < signed.expires_at
        # Made for the state that was there before, so that it opens nothing a second time.
        and signoff.bindings.state == change.previous
    )


def _opened(change: Change, reviewers: Reviewers) -> Iterator[SignOff]:
    for text in change.signoffs:
        try:
            content = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise SignOffMissing(f"a sign-off is damaged: {error}") from error
        yield open_sealed(content, reviewers, "sign-off")
