"""Tell whether a rollout state is what reviewers signed for: every promotion in it, by the keys of today's file."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import replace

from voicectl.governance.policy.errors import SignOffMissing
from voicectl.governance.policy.persons import one_person_twice, same_person
from voicectl.governance.policy.schema import Policy
from voicectl.governance.rollout.state import Change, RolloutState, deciding, folded
from voicectl.governance.signoff.envelope import SignOff, open_sealed
from voicectl.governance.signoff.reviewers import Reviewers
from voicectl.governance.signoff.statement import CLOCK_SKEW_S


def believed(state: RolloutState, policy: Policy, reviewers: Reviewers | None) -> RolloutState:
    """Return the state, with a `problem` when a promotion in it was not signed as the policy asks.

    Without reviewers no promotion can be believed. What was replaced by a later change is checked no more.
    """
    if state.problem is not None:
        return state
    for change in deciding(state.known_changes):
        if change.action == "promote":
            problem = _problem(change, policy, reviewers)
            if problem is not None:
                promotion = f"the promotion of {', '.join(change.use_cases)} to {change.tier}"
                return replace(state, problem=f"{promotion}: {problem}")
    return state


def continued(before: RolloutState, after: RolloutState) -> RolloutState:
    """Return `after`, with a `problem` when it lost changes that `before` had: one of them may have been a demotion."""
    if after.problem is None and not _goes_on(before, after):
        return replace(
            after,
            problem=f"the file no longer begins with the {before.serial} changes that were enforced before: "
            "restart the service to take it as it is",
        )
    return after


def _goes_on(before: RolloutState, after: RolloutState) -> bool:
    """Return whether `after` is `before` with more changes, or with the first of its changes folded besides."""
    num_folded = 0
    if after.base != before.base:
        num_folded = (0 if after.base is None else after.base.serial) - (before.serial - len(before.changes))
        if not 0 <= num_folded <= len(before.changes) or folded(before, num_folded) != after.base:
            return False
    left = before.changes[num_folded:]
    return after.changes[: len(left)] == left


def _problem(change: Change, policy: Policy, reviewers: Reviewers | None) -> str | None:
    if reviewers is None:
        return "there is no file of reviewers to check its signatures by"
    try:
        signoffs = list(_opened(change, reviewers))
    except SignOffMissing as error:
        return error.message
    if any(one.bindings.policy != change.policy_digest for one in signoffs):
        return "signed for another policy than the one it names"
    valid = {one.signed.role: one.reviewer.name for one in signoffs if _is_for(one, change)}
    missing = [role for role in policy.signoff.require if role not in valid]
    if missing:
        return f"not signed by {', '.join(missing)}"
    people = [valid[role] for role in policy.signoff.require]
    if one_person_twice(people):
        return "signed by one person for several roles"
    return None


def _is_for(signoff: SignOff, change: Change) -> bool:
    signed = signoff.signed
    return (
        (signed.tier, signed.use_cases) == (change.tier, change.use_cases)
        and signed.role in signoff.reviewer.roles
        and same_person(signed.reviewer, signoff.reviewer.name)
        and signed.date <= change.at + CLOCK_SKEW_S
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
