"""Say why evidence cannot be believed, each reason in words. Pure."""

from collections.abc import Iterator

from voicectl.governance.gate.evidence import Evidence, Structure
from voicectl.governance.policy.schema import Policy


def unsound(evidence: Evidence, policy: Policy) -> tuple[str, ...]:
    """Return every reason for which the calls of a tier are no evidence; nothing when they are."""
    return tuple(_reasons(evidence, policy))


def _reasons(evidence: Evidence, policy: Policy) -> Iterator[str]:
    found, limits = evidence.structure, policy.defaults
    if found.newest_ended_at is None:
        yield "no call has ended lately: is the service recording?"
    elif evidence.as_of - found.newest_ended_at > limits.max_staleness:
        age = (evidence.as_of - found.newest_ended_at) / 3600
        yield f"stale: the newest call ended {age:.1f} h ago, max_staleness is {limits.max_staleness / 3600:g} h"
    if found.unscored > limits.max_unscored:
        yield f"{_calls(found.unscored)} not scored, max_unscored is {limits.max_unscored}: run `voicectl calls score`"
    for number, what in _counted(found):
        if number:
            yield f"{_calls(number)} {what}"


def _counted(found: Structure) -> Iterator[tuple[int, str]]:
    yield found.never_ended, "without an end: lost, or never folded"
    yield found.duplicated, "recorded twice"
    yield found.in_the_future, "in the future: a clock is wrong"
    yield found.before_time, "before 2020: a clock is wrong"
    yield found.reversed_times, "with an end or an answer before the start: a clock jumped"
    yield found.other_tier, "labelled with another tier than the policy's"
    yield found.unlisted, "labelled with this tier, of use cases that the policy does not list in it"
    yield found.without_setup, "without the digest of model, prompt or configuration"
    yield found.without_row, "with events but without a row: removed, or never folded"
    yield found.without_events, "with a row but without events: not written by the recorder"
    yield found.forbidden_scope, "that touched card data, which this tier forbids"
    yield found.other_judge, "scored by another judge than the newest: run `voicectl calls score --all`"


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number} calls"
