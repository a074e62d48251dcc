"""The smaller questions of the gate to the database: reported violations, the judge's errors, latency and words."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, and_, false, func, or_, select

from voicectl.governance.gate.evidence import Quality
from voicectl.governance.gate.judge import JudgeError
from voicectl.governance.store.tables import calls, scores, turns, violations

JUDGED: Final = ("resolved", "compliance_flagged")
"""Yes-or-no questions that a judge answers and humans do too, by their names in `scores`."""
_YES: Final = 0.5
MIN_TURNS: Final = {0.90: 29, 0.99: 299}
"""Turns below which a percentile is not told."""


def reported_violations(connection: Connection, forgiven_at: Mapping[str, float], as_of: float) -> dict[str, int]:
    """Return how often each zero-tolerance event was reported for these use cases, since its own instant for each.

    One that names no use case stands until the last of them has left it behind.
    """
    kind, use_case, at = violations.c.kind, violations.c.use_case, violations.c.at
    own = (and_(use_case == name, at >= since) for name, since in forgiven_at.items())
    query = (
        select(kind, func.count())
        .where(
            at <= as_of,
            or_(*own, and_(use_case.is_(None), at >= min(forgiven_at.values()))),
        )
        .group_by(kind)
    )
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def judge_errors(connection: Connection, judge: str, as_of: float) -> dict[str, JudgeError]:
    """Return how this judge's answers compare with those of humans, by question. Of several reviews the last counts."""
    found: dict[str, JudgeError] = {}
    for question in JUDGED:
        human, machine = scores.alias("human"), scores.alias("machine")
        query = (
            select(human.c.call_id, human.c.value, machine.c.value)
            .select_from(human.join(machine, human.c.call_id == machine.c.call_id))
            .where(
                and_(human.c.source == "human", human.c.name == question, human.c.value.is_not(None)),
                and_(machine.c.source != "human", machine.c.name == question, machine.c.value.is_not(None)),
                machine.c.judge_digest == judge,
                human.c.at <= as_of,
            )
            .order_by(human.c.at, human.c.score_id, machine.c.score_id)
        )
        pairs = {row[0]: (row[1] >= _YES, row[2] >= _YES) for row in connection.execute(query)}
        answers = list(pairs.values())
        found[question] = JudgeError(
            true_yes=answers.count((True, True)),
            false_yes=answers.count((False, True)),
            true_no=answers.count((False, False)),
            false_no=answers.count((True, False)),
        )
    return found


def quality(connection: Connection, use_cases: Sequence[str], until: float, window_s: float) -> Quality:
    """Return latency and word errors of the window; word errors are of all calls with references, probes included."""
    call = calls.c
    in_window: list[Any] = [
        call.use_case.in_(use_cases),
        call.started_at > until - window_s,
        call.started_at <= until,
        call.ended_at <= until,
    ]
    joined = calls.join(turns, turns.c.call_id == calls.c.call_id)
    timed = [*in_window, call.probe == false(), turns.c.v2v_s.is_not(None)]
    total = int(connection.execute(select(func.count()).select_from(joined).where(*timed)).scalar_one())

    def percentile(share: float) -> float | None:
        if total < MIN_TURNS[share]:
            return None
        rank = max(1, -(-total * round(share * 100) // 100))
        values = select(turns.c.v2v_s).select_from(joined).where(*timed).order_by(turns.c.v2v_s)
        return float(connection.execute(values.offset(rank - 1).limit(1)).scalar_one())

    errors = turns.c.wer_substitutions + turns.c.wer_deletions + turns.c.wer_insertions
    words = connection.execute(
        select(func.sum(errors), func.sum(turns.c.wer_words))
        .select_from(joined)
        .where(*in_window, turns.c.wer_words.is_not(None), turns.c.reference_kind.is_not(None))
    ).one()
    return Quality(total, percentile(0.90), percentile(0.99), int(words[0] or 0), int(words[1] or 0))
