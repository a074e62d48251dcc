"""Where scoring reads calls and writes verdicts: SQL over the store, the same on SQLite and PostgreSQL."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, Protocol

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, not_, or_, select, update

from voicectl.core.records import CallRow, TurnRow
from voicectl.governance.score.calibration import JudgeQuality, judge_quality
from voicectl.governance.score.conversation import Conversation
from voicectl.governance.score.standing import has_failed, is_scored, went_on
from voicectl.governance.score.verdict import DECIDING, GRADED, Verdict, by_humans, need_no_judge
from voicectl.governance.store.tables import calls, scores, turns

Which = Literal["recent", "due", "failed", "all"]
"""Calls that wait or whose retry is due; also all that failed; also those that another judge scored.

`recent` is `due` without the calls that went on after their score and ended more than RECENT_S ago: no index
names those, and a gateway asks every few seconds.
"""

Stored = Literal["scored", "failed", "kept", "gone"]
"""What a call has when a verdict was stored: `kept` is the score that it had before."""

RETRY_S: Final = 3_600.0
RETRIED_FOR_S: Final = 86_400.0
"""A call that could not be scored is tried again every RETRY_S, this long after its end."""
RECENT_S: Final = 3 * 86_400.0
MAX_TURNS: Final = 2_000
_CALL_FIELDS: Final = tuple(field.name for field in fields(CallRow))
_TURN_FIELDS: Final = tuple(field.name for field in fields(TurnRow))


class Records(Protocol):
    """The call records as scoring uses them: `governance.store.store.Store`."""

    def read(self) -> AbstractContextManager[Connection]:
        """Give a connection that only reads."""
        ...

    def write(self) -> AbstractContextManager[Connection]:
        """Give a connection whose transaction is committed in the end, or rolled back by an error."""
        ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many finished calls wait for a score, how many could not be scored, and since when the first waits."""

    pending: int
    failed: int
    oldest_ended_at: float | None


def backlog(connection: Connection, *, since: float | None = None) -> Backlog:
    """Return what is left to score; of calls that went on after their score those that ended since an instant."""
    ended = calls.c.ended_at.is_not(None)
    waiting = or_(calls.c.score_state == "pending", _went_on_since(since))
    pending = select(func.count(), func.min(calls.c.ended_at)).where(waiting, ended)
    failed = select(func.count()).where(has_failed(calls.c), ended)
    num_pending, oldest = connection.execute(pending).one()
    return Backlog(num_pending, connection.execute(failed).scalar_one(), oldest)


def calls_to_score(
    connection: Connection, *, which: Which, judge_digest: str, now: float, limit: int, after: tuple[float, str] | None
) -> list[tuple[float, str]]:
    """Return the next calls, oldest end first, as (ended_at, call id): what follows `after`, at most `limit`."""
    place = and_(calls.c.ended_at.is_not(None), _wanted(which, judge_digest, now))
    if after is not None:
        ended_at, call_id = after
        place = and_(
            place,
            or_(calls.c.ended_at > ended_at, and_(calls.c.ended_at == ended_at, calls.c.call_id > call_id)),
        )
    found = select(calls.c.ended_at, calls.c.call_id).where(place)
    rows = connection.execute(found.order_by(calls.c.ended_at, calls.c.call_id).limit(limit))
    return [(row.ended_at, row.call_id) for row in rows]


def num_calls_to_score(connection: Connection, *, which: Which, judge_digest: str, now: float) -> int:
    """Return how many calls `calls_to_score` would give in all."""
    place = and_(calls.c.ended_at.is_not(None), _wanted(which, judge_digest, now))
    return connection.execute(select(func.count()).select_from(calls).where(place)).scalar_one()


def load_conversation(connection: Connection, call_id: str) -> Conversation | None:
    """Return a call with its first turns, None if there is no such call."""
    row = connection.execute(select(calls).where(calls.c.call_id == call_id)).mappings().one_or_none()
    if row is None:
        return None
    found = select(turns).where(turns.c.call_id == call_id).order_by(turns.c.turn).limit(MAX_TURNS)
    return Conversation(
        CallRow(**{name: row[name] for name in _CALL_FIELDS}),
        tuple(TurnRow(**{name: one[name] for name in _TURN_FIELDS}) for one in connection.execute(found).mappings()),
    )


def human_scores(connection: Connection, call_id: str) -> dict[str, float]:
    """Return the latest human score of each name."""
    found = (
        select(scores.c.name, scores.c.value)
        .where(scores.c.call_id == call_id, scores.c.source == "human", scores.c.value.is_not(None))
        .order_by(scores.c.at, scores.c.score_id)
    )
    return {row.name: row.value for row in connection.execute(found)}


def apply_reviews(connection: Connection, call_id: str) -> None:
    """Let what humans said of a call stand above what its row says. Run it in a transaction.

    A call that could not be scored is scored when they said all that has to be known of it.
    """
    humans = human_scores(connection, call_id)
    change = update(calls).where(calls.c.call_id == call_id)
    if columns := by_humans(humans):
        connection.execute(change.values(**columns))
    if need_no_judge(humans):
        connection.execute(change.where(calls.c.score_state == "failed").values(score_state="scored"))


def store_verdict(
    connection: Connection, call_id: str, verdict: Verdict, *, judge_digest: str, rubric_version: str, at: float
) -> Stored:
    """Put a verdict in the place of any earlier one, below what humans said, and return what came of it.

    A failure does not take the place of a score, unless the call went on since. Run it in a transaction. It may be
    repeated: the outcome is the same.
    """
    stamp = {"scored_at": at, "judge_digest": judge_digest, "rubric_version": rubric_version}
    change = update(calls).where(calls.c.call_id == call_id).values(**verdict.columns, **stamp)
    if verdict.columns["score_state"] == "failed":
        change = change.where(not_(is_scored(calls.c)))
    # The row of the call first: its lock keeps reviews and another scorer of the same call out until the commit.
    if connection.execute(change).rowcount == 0:
        return "gone" if _state(connection, call_id) is None else "kept"
    connection.execute(delete(scores).where(scores.c.call_id == call_id, scores.c.source.in_(("rule", "judge"))))
    rows: list[dict[str, Any]] = [
        {
            "call_id": call_id,
            "name": score.name,
            "value": score.value,
            "label": score.label,
            "explanation": _storable(score.explanation),
            "source": score.source,
            "judge_digest": judge_digest,
            "rubric_version": rubric_version,
            "at": at,
        }
        for score in verdict.scores
    ]
    if rows:
        connection.execute(insert(scores), rows)
    apply_reviews(connection, call_id)
    return "scored" if _state(connection, call_id) == "scored" else "failed"


def _state(connection: Connection, call_id: str) -> str | None:
    return connection.execute(select(calls.c.score_state).where(calls.c.call_id == call_id)).scalar_one_or_none()


def _storable(text: str | None) -> str | None:
    # A judge may write escapes of what neither UTF-8 nor PostgreSQL takes.
    return None if text is None else text.encode("utf-8", "replace").decode().replace("\0", "")


def judge_qualities(
    connection: Connection, *, judge_digest: str | None = None, use_case: str | None = None
) -> dict[str, JudgeQuality]:
    """Return how the machine's verdicts agree with humans', by question, over calls that have both.

    With a `judge_digest`, only verdicts of that judge count; with a `use_case`, only its calls.
    """
    return {
        name: judge_quality(name, _pairs(connection, name, judge_digest, use_case), judge_digest) for name in GRADED
    }


def _pairs(
    connection: Connection, name: str, judge_digest: str | None, use_case: str | None
) -> Iterator[tuple[bool, bool]]:
    human, machine = scores.alias("human"), scores.alias("machine")
    joined = human.join(machine, human.c.call_id == machine.c.call_id).join(calls, calls.c.call_id == human.c.call_id)
    found = (
        select(human.c.call_id, human.c.value, machine.c.value.label("judged"))
        .select_from(joined)
        .where(
            human.c.source == "human",
            human.c.name == name,
            human.c.value.is_not(None),
            machine.c.source != "human",
            machine.c.name == name,
            machine.c.value.is_not(None),
        )
        .order_by(human.c.at, human.c.score_id)
    )
    if judge_digest is not None:
        found = found.where(machine.c.judge_digest == judge_digest)
    if use_case is not None:
        found = found.where(calls.c.use_case == use_case)
    # Of several reviews of a call the latest counts, as it does for the call.
    latest = {row.call_id: (row.value >= DECIDING, row.judged >= DECIDING) for row in connection.execute(found)}
    yield from latest.values()


def _went_on_since(since: float | None) -> ColumnElement[bool]:
    return went_on(calls.c) if since is None else and_(calls.c.ended_at > since, went_on(calls.c))


def _wanted(which: Which, judge_digest: str, now: float) -> ColumnElement[bool]:
    failed = calls.c.score_state == "failed"
    waiting = or_(
        calls.c.score_state == "pending",
        _went_on_since(now - RECENT_S if which == "recent" else None),
    )
    if which in ("recent", "due"):
        again = and_(failed, calls.c.scored_at < now - RETRY_S, calls.c.ended_at > now - RETRIED_FOR_S)
        return or_(waiting, again)
    if which == "failed":
        return or_(waiting, failed)
    # A call whose words retention took cannot be scored again: the score it has stays.
    other = and_(
        calls.c.score_state == "scored",
        calls.c.texts_pruned_at.is_(None),
        or_(calls.c.judge_digest.is_(None), calls.c.judge_digest != judge_digest),
    )
    return or_(waiting, failed, other)
