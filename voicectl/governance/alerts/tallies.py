"""Count finished calls as the alert rules read them. Each call is counted once, as it is known when it has settled."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Final

from sqlalchemy import Connection, false, func, select

from voicectl.core.records import SCORE_STATES, CallRow, contained, warm
from voicectl.governance.alerts import metrics
from voicectl.governance.policy.schema import Policy
from voicectl.governance.store.tables import calls, turns

Key = tuple[str, ...]
"""The name of a metric, and the values of its labels in the order of `metrics.TO_EXPORT`."""

ANSWERS: Final = {True: "yes", False: "no", None: "unknown"}
_COLUMNS: Final = (
    *("call_id", "use_case", "tier", "started_at", "answered_at", "resolved", "transfer_attempted", "abandoned"),
    *("transfer_result", "transfer_complete", "transfer_payload_digest", "screen_pop_at", "human_answer_at"),
    *("compliance_flagged", "incomplete", "probe"),
)


def nothing_yet(policy: Policy) -> Counter[Key]:
    """Return a zero for every series of the policy's use cases: a rate needs a point before the first event."""
    found: Counter[Key] = Counter()
    for tier, rules in policy.tiers.items():
        for use_case in rules.use_cases:
            for metric, labels in metrics.TO_EXPORT.items():
                for answer in ANSWERS.values() if len(labels) > 2 else ("",):
                    found[metric, use_case, tier, *([answer] if answer else [])] = 0
    return found


def served_since(connection: Connection, policy: Policy, known: Collection[Key]) -> dict[Key, float]:
    """Return when the first call of each use case of the policy began, by use case and tier, but for those `known`."""
    found: dict[Key, float] = {}
    for tier, rules in policy.tiers.items():
        for use_case in rules.use_cases:
            own = calls.c.use_case == use_case, calls.c.tier == tier, calls.c.probe == false()
            first = select(calls.c.started_at).where(*own).order_by(calls.c.started_at).limit(1)
            began = None if (use_case, tier) in known else connection.execute(first).scalar()
            if began is not None:
                found[use_case, tier] = began
    return found


def tallied(connection: Connection, since: float, until: float) -> Counter[Key]:
    """Return the counts of calls that ended after `since`, and no later than `until`, both Unix seconds."""
    # By score state too: that is what the index on ends begins with.
    ended = calls.c.score_state.in_(SCORE_STATES), calls.c.ended_at > since, calls.c.ended_at <= until
    found: Counter[Key] = Counter()
    for row in connection.execute(select(*(calls.c[name] for name in _COLUMNS)).where(*ended)):
        found.update(_of_call(CallRow(**row._mapping)))
    errors = turns.c.wer_substitutions + turns.c.wer_deletions + turns.c.wer_insertions
    words = (
        select(calls.c.use_case, calls.c.tier, func.sum(turns.c.wer_words), func.sum(errors))
        .select_from(calls.join(turns, turns.c.call_id == calls.c.call_id))
        .where(*ended, turns.c.wer_words.is_not(None), turns.c.reference_kind.is_not(None))
        .group_by(calls.c.use_case, calls.c.tier)
    )
    for use_case, tier, num_words, num_errors in connection.execute(words):
        found[metrics.WORDS, use_case, tier] += int(num_words or 0)
        found[metrics.WORD_ERRORS, use_case, tier] += int(num_errors or 0)
    return found


def _of_call(call: CallRow) -> Iterator[Key]:
    if call.probe:
        return
    own = (call.use_case, call.tier)
    yield metrics.CONTAINMENT, *own, _answer(call, contained(call), good=True)
    yield metrics.COMPLIANCE, *own, _answer(call, call.compliance_flagged, good=False)
    if call.transfer_attempted:
        yield metrics.TRANSFERS, *own, _answer(call, warm(call), good=True)


def _answer(call: CallRow, answer: bool | None, *, good: bool) -> str:
    # What a call with lost events hides may be just what went wrong.
    return ANSWERS[None if call.incomplete and answer is good else answer]
