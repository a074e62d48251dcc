"""One call as one whole number: what of its row decides, so that a million rows are counted in a second.

The database makes the number, this module takes it apart again. Knows no bars and no window.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
)

from voicectl.governance.score.standing import is_scored
from voicectl.governance.store.tables import calls, complaints, events

Column = ColumnElement[Any]
UNKNOWN: Final = 2
"""Third value of a fact that is yes (1) or no (0)."""
OUTBOUND: Final = ("dnc_dial", "out_of_window_dial", "missing_consent")
"""Zero-tolerance events that the row of a dialled call shows, as the bits of one fact, the first the lowest."""
VIOLATIONS: Final = (*OUTBOUND, "missing_baa")
"""Zero-tolerance events that a row itself shows, whatever was reported."""
SIZES: Final[dict[str, int]] = {
    "answered": 2,
    "resolved": 3,
    "resolved_by_judge": 2,
    "attempted": 3,
    "abandoned": 3,
    "warm": 3,
    "escalated": 3,
    "complained": 2,
    "flagged": 3,
    "scored": 2,
    "incomplete": 2,
    "same_setup": 2,
    "setup_known": 2,
    "judge": 3,
    "own_tier": 2,
    "reversed": 2,
    "dtmf": 2,
    "told": 2,
    "missing_baa": 2,
    "outbound": 8,
}
"""Facts and how many values each has, in the order in which they make up the number; the use case is above them."""
NO_JUDGE, SAME_JUDGE, OTHER_JUDGE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Newest:
    """What the newest call of a use case was answered and judged by; None is unknown or nothing."""

    model: str | None
    prompt: str | None
    config: str | None
    judge: str | None


def code_column(
    tier: str, use_cases: Sequence[str], newest: Mapping[str, Newest], as_of: float, kept_since: float
) -> Column:
    """Return the expression of the number; it is of calls of `use_cases` alone.

    Events of calls that began before `kept_since` may be gone by now, and nobody misses them.
    """
    facts = _expressions(tier, newest, as_of, kept_since)
    places = {name: _constant(number, BigInteger) for number, name in enumerate(use_cases)}
    code: Column = case(places, value=calls.c.use_case)
    for name, size in SIZES.items():
        code = code * _constant(size, BigInteger) + facts[name]
    return cast(code, BigInteger)


def facts_of(code: int) -> tuple[int, dict[str, int]]:
    """Return the number of the use case, and the facts."""
    facts: dict[str, int] = {}
    for name, size in reversed(SIZES.items()):
        code, facts[name] = divmod(code, size)
    outbound = facts.pop("outbound")
    return code, facts | {name: outbound >> bit & 1 for bit, name in enumerate(OUTBOUND)}


def contained(facts: Mapping[str, int]) -> int:
    """Return `core.records.contained` of a call's facts: 1, 0, or UNKNOWN."""
    if not facts["answered"] or facts["resolved"] == 0 or facts["attempted"] == 1 or facts["abandoned"] == 1:
        return 0
    return UNKNOWN if UNKNOWN in (facts["resolved"], facts["attempted"], facts["abandoned"]) else 1


def rests_on_judge(facts: Mapping[str, int]) -> bool:
    """Return whether the judge's word decided if a call was contained: a transfer proves by itself that it was not."""
    open_to_it = facts["answered"] and facts["attempted"] != 1 and facts["abandoned"] != 1
    return bool(facts["resolved_by_judge"] and open_to_it)


def _expressions(tier: str, newest: Mapping[str, Newest], as_of: float, kept_since: float) -> dict[str, Column]:
    call = calls.c
    complained = exists(
        select(null()).where(complaints.c.call_id == call.call_id, complaints.c.received_at <= as_of).correlate(calls)
    )
    recorded = exists(select(null()).where(events.c.call_id == call.call_id).correlate(calls))
    known = and_(call.model_digest.is_not(None), call.prompt_digest.is_not(None), call.config_digest.is_not(None))
    return {
        "answered": _sure(call.answered_at.is_not(None)),
        "resolved": _three(call.resolved),
        "resolved_by_judge": _sure(call.resolved_by.is_not_distinct_from("judge")),
        "attempted": _three(call.transfer_attempted),
        "abandoned": _three(call.abandoned),
        "warm": _warm(),
        "escalated": _three(call.escalated),
        # Looked up only where it matters: most calls are not escalated.
        "complained": case((call.escalated == true(), _sure(complained)), else_=_constant(0)),
        "flagged": _three(call.compliance_flagged),
        "scored": _sure(is_scored(call)),
        "incomplete": _sure(call.incomplete.is_(true())),
        "same_setup": _sure(_of(newest, _setup_is)),
        "setup_known": _sure(known),
        "judge": case(
            (call.judge_digest.is_(None), _constant(NO_JUDGE)),
            (_of(newest, lambda setup: calls.c.judge_digest == setup.judge), _constant(SAME_JUDGE)),
            else_=_constant(OTHER_JUDGE),
        ),
        "own_tier": _sure(call.tier == tier),
        "reversed": _flag(or_(call.ended_at < call.started_at, call.answered_at < call.started_at)),
        "dtmf": _sure(call.dtmf_paused.is_(true())),
        "told": _sure(or_(call.started_at < kept_since, recorded)),
        "missing_baa": _sure(call.baa_complete.is_(false())),
        "outbound": case(
            (and_(call.direction == "outbound", call.answered_at.is_not(None)), _outbound()), else_=_constant(0)
        ),
    }


def _of(newest: Mapping[str, Newest], is_it: Callable[[Newest], Column]) -> Column:
    """Return whether a call is as the newest one of its use case. Use cases that are alike are asked for together."""
    alike: dict[Newest, list[str]] = {}
    for use_case, setup in newest.items():
        alike.setdefault(setup, []).append(use_case)
    if len(alike) == 1:
        return is_it(next(iter(alike)))
    return or_(false(), *(and_(is_it(setup), calls.c.use_case.in_(names)) for setup, names in alike.items()))


def _setup_is(setup: Newest) -> Column:
    return and_(
        calls.c.model_digest.is_not_distinct_from(setup.model),
        calls.c.prompt_digest.is_not_distinct_from(setup.prompt),
        calls.c.config_digest.is_not_distinct_from(setup.config),
    )


def _outbound() -> Column:
    call = calls.c
    events = (
        call.dnc_listed == true(),
        # Without a verdict nobody knows that it was allowed.
        or_(call.window_verdict.is_(None), call.window_verdict != "allowed"),
        or_(call.consent_id.is_(None), call.consent_revoked_at < call.started_at),
    )
    code: Column = _constant(0)
    for bit, event in enumerate(events):
        code = code + _flag(event) * _constant(1 << bit)
    return code


def _warm() -> Column:
    """Return whether a transfer reached a human who had its context before; unknown where that was not told."""
    call = calls.c
    failed = or_(
        call.transfer_result.in_(("failed", "abandoned")),
        call.transfer_complete == false(),
        and_(call.transfer_result == "succeeded", call.transfer_payload_digest.is_(None)),
        call.screen_pop_at > call.human_answer_at,
    )
    held = and_(call.transfer_result == "succeeded", call.transfer_complete == true())
    warm = case((failed, _constant(0)), (held, _constant(1)), else_=_constant(UNKNOWN))
    return case((call.transfer_attempted == true(), warm), else_=_constant(0))


def _sure(condition: Column) -> Column:
    """Return a condition that is never null as a number."""
    return cast(condition, Integer)


def _flag(condition: Column) -> Column:
    return func.coalesce(cast(condition, Integer), _constant(0))


def _three(column: Column) -> Column:
    return func.coalesce(cast(column, Integer), _constant(UNKNOWN))


def _constant(number: int, kind: type[Integer] = Integer) -> Column:
    """Return a number as part of the statement: SQLite fetches a parameter anew for each of a million rows."""
    return literal_column(str(number), kind())
