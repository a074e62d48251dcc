"""Which calls wait for a score, have one, or could not get one: the same words of SQL for all who count them.

A call that went on after it was scored waits again: what its row says is of its first part alone.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, not_, or_

Condition = ColumnElement[bool]


def went_on(call: Any) -> Condition:
    """Return whether a call ended later than it was scored; never null. `call` has the columns of `calls`."""
    return and_(
        call.score_state.in_(("scored", "failed")),
        call.scored_at.is_not(None),
        call.ended_at.is_not(None),
        call.scored_at < call.ended_at,
    )


def waits(call: Any) -> Condition:
    """Return whether a call has no score of all that it is."""
    return or_(call.score_state == "pending", went_on(call))


def is_scored(call: Any) -> Condition:
    """Return whether a call has a score of all that it is; never null."""
    covered = or_(call.scored_at.is_(None), call.ended_at.is_(None), call.scored_at >= call.ended_at)
    return and_(call.score_state == "scored", covered)


def has_failed(call: Any) -> Condition:
    """Return whether a call could not be scored, and did not go on since."""
    return and_(call.score_state == "failed", not_(went_on(call)))
