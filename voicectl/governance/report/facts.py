"""Read from the database what a report tells: figures of the period and the one before, and what stands behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, case, func, select, true

from voicectl.governance.kpi.counts import Counts, Dimension, Group
from voicectl.governance.kpi.kpis import Kpis, kpis
from voicectl.governance.kpi.query import DAY_S, Span, count_calls, count_words, latency_quantiles
from voicectl.governance.kpi.rate import Rate
from voicectl.governance.report.gaps import KnowledgeGap, Question, grouped
from voicectl.governance.report.period import Period
from voicectl.governance.score.calibration import JudgeQuality
from voicectl.governance.score.shelf import judge_qualities
from voicectl.governance.store.tables import calls, scores, violations

TOP: Final = 10
SHOWN_CALLS: Final = 5
MAX_QUESTIONS: Final = 2_000
TRAILING: Final = 6
"""Days before the period that the first seven-day figures need."""
DISCLOSURE_S: Final = 10.0
FINDINGS: Final = ("compliance", "escalation", "quality")


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that went wrong: how often, of which kind, and in which calls, the latest first."""

    name: str
    kind: str
    count: int
    call_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Violation:
    """A zero-tolerance event."""

    kind: str
    at: float
    use_case: str | None
    call_id: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report is made of. `by_day` has only days with a completed call, and begins TRAILING days early.

    `qualities` are of the judge that scored most of the period. `audit` are checks of compliance and the
    calls that pass them. `first_call_at` is when the first call of the whole record began.
    """

    period: Period
    use_case: str | None
    total: Kpis
    previous: Kpis
    by_use_case: Mapping[tuple[str, str], Kpis]
    by_day: Mapping[int, Kpis]
    reasons: tuple[Reason, ...]
    unscored: tuple[Reason, ...]
    gaps: tuple[KnowledgeGap, ...]
    violations: tuple[Violation, ...]
    audit: Mapping[str, Rate]
    qualities: Mapping[str, JudgeQuality]
    judges: tuple[tuple[str, str, int], ...]
    first_call_at: float | None
    num_unended: int
    num_incomplete: int


def read_facts(
    connection: Connection, period: Period, *, use_case: str | None = None, csat_baseline: float | None = None
) -> Facts:
    """Return the facts of a period. Without a baseline, CSAT is compared with the period before."""
    span = _span(period, use_case)
    before = _span(period.before(), use_case)
    previous = _figures(connection, before, (), csat_baseline).get(Group(), kpis(Counts()))
    baseline = previous.csat if csat_baseline is None else csat_baseline
    by_use_case = _figures(connection, span, ("use_case", "tier"), baseline)
    earlier = replace(span, since=span.since - TRAILING * DAY_S)
    by_day = _figures(connection, earlier, ("day",), baseline)
    in_span = _in_span(span)
    judges = _judges(connection, in_span)
    return Facts(
        period=period,
        use_case=use_case,
        total=_figures(connection, span, (), baseline).get(Group(), kpis(Counts())),
        previous=previous,
        by_use_case={_name(group): by_use_case[group] for group in sorted(by_use_case, key=_name)},
        by_day={group.day: one for group, one in by_day.items() if group.day is not None},
        reasons=_reasons(connection, in_span),
        unscored=_unscored(connection, in_span),
        gaps=_gaps(connection, in_span),
        violations=_violations(connection, span),
        audit=_audit(connection, in_span),
        qualities=judge_qualities(connection, judge_digest=judges[0][0] if judges else None, use_case=use_case),
        judges=judges,
        first_call_at=connection.execute(
            select(func.min(calls.c.started_at)).where(calls.c.probe.is_(False))
        ).scalar_one(),
        num_unended=_num_calls(connection, span, calls.c.ended_at.is_(None)),
        num_incomplete=_num_calls(connection, span, calls.c.incomplete.is_(True)),
    )


def _figures(
    connection: Connection, span: Span, by: Sequence[Dimension], csat_baseline: float | None
) -> dict[Group, Kpis]:
    counts = count_calls(connection, span, by)
    words = count_words(connection, span, by)
    quantiles = latency_quantiles(connection, span, by)
    # Probes have words too, on days without a call of a caller.
    groups = counts.keys() | words.keys()
    return {
        group: kpis(counts.get(group, Counts()), words.get(group), quantiles.get(group), csat_baseline=csat_baseline)
        for group in groups
    }


def _num_calls(connection: Connection, span: Span, condition: ColumnElement[bool]) -> int:
    where = (calls.c.started_at >= span.since) & (calls.c.started_at < span.until) & condition
    where &= calls.c.probe.is_(False)
    if span.use_case is not None:
        where &= calls.c.use_case == span.use_case
    return connection.execute(select(func.count()).select_from(calls).where(where)).scalar_one()


def _reasons(connection: Connection, in_span: ColumnElement[bool]) -> tuple[Reason, ...]:
    """Return what rules found, what the judge flagged, and why it says that calls were not resolved."""
    found = scores.c.source.in_(("rule", "judge")) & scores.c.label.in_(FINDINGS)
    named = _ranked(connection, in_span & found, scores.c.name, scores.c.label, otherwise="other")
    failed = (scores.c.name == "failure") & (scores.c.label != "none") & (calls.c.resolved.is_(False))
    judged = _ranked(connection, in_span & failed, scores.c.label, None, otherwise="not resolved")
    return tuple(sorted((*named, *judged), key=lambda reason: (-reason.count, reason.name))[:TOP])


def _unscored(connection: Connection, in_span: ColumnElement[bool]) -> tuple[Reason, ...]:
    failed = (scores.c.name == "scoring") & (scores.c.label == "failed") & (calls.c.score_state == "failed")
    return _ranked(connection, in_span & failed, scores.c.explanation, None, otherwise="not scored")


def _ranked(
    connection: Connection, where: ColumnElement[bool], name: Any, kind: Any, *, otherwise: str
) -> tuple[Reason, ...]:
    columns = [name.label("name")] + ([] if kind is None else [kind.label("kind")])
    joined = scores.join(calls, calls.c.call_id == scores.c.call_id)
    number = func.count(scores.c.call_id.distinct())
    query = select(*columns, number.label("count")).select_from(joined).where(where).group_by(*columns)
    rows = connection.execute(query.order_by(number.desc(), *columns).limit(TOP)).mappings().all()
    reasons = []
    for row in rows:
        examples = (
            select(calls.c.call_id)
            .select_from(joined)
            .where(where, name == row["name"], *([] if kind is None else [kind == row["kind"]]))
            .group_by(calls.c.call_id)
            .order_by(func.max(calls.c.started_at).desc(), calls.c.call_id)
            .limit(SHOWN_CALLS)
        )
        shown = tuple(connection.execute(examples).scalars())
        reasons.append(Reason(row["name"] or "unknown", row.get("kind") or otherwise, row["count"], shown))
    return tuple(reasons)


def _gaps(connection: Connection, in_span: ColumnElement[bool]) -> tuple[KnowledgeGap, ...]:
    query = (
        select(scores.c.call_id, scores.c.explanation)
        .select_from(scores.join(calls, calls.c.call_id == scores.c.call_id))
        .where(in_span, scores.c.name == "knowledge_gap", scores.c.explanation.is_not(None))
        .order_by(calls.c.started_at.desc(), scores.c.score_id)
        .limit(MAX_QUESTIONS)
    )
    rows = connection.execute(query)
    return grouped([Question(row.call_id, row.explanation) for row in rows], most=TOP)


def _violations(connection: Connection, span: Span) -> tuple[Violation, ...]:
    query = select(violations).where(violations.c.at >= span.since, violations.c.at < span.until)
    if span.use_case is not None:
        # An event of no use case is one of all of them.
        query = query.where((violations.c.use_case == span.use_case) | violations.c.use_case.is_(None))
    rows = connection.execute(query.order_by(violations.c.at).limit(200))
    return tuple(Violation(row.kind, row.at, row.use_case, row.call_id, row.detail) for row in rows)


def _audit(connection: Connection, in_span: ColumnElement[bool]) -> dict[str, Rate]:
    """Return how many calls pass each check of a consent audit; a call without the record is unknown."""
    outbound = calls.c.direction == "outbound"
    answered = calls.c.answered_at.is_not(None)
    consented = calls.c.consent_id.is_not(None)
    checks: dict[str, tuple[Any, Any, Any]] = {
        "consent on record": (outbound, consented, true()),
        "consent not revoked before the call": (
            outbound & consented,
            calls.c.consent_revoked_at.is_(None) | (calls.c.consent_revoked_at > calls.c.started_at),
            true(),
        ),
        "do-not-call list checked, number not on it": (
            outbound, calls.c.dnc_listed.is_(False), calls.c.dnc_listed.is_not(None),
        ),
        "inside the calling window": (
            outbound, calls.c.window_verdict == "allowed", calls.c.window_verdict.in_(("allowed", "blocked")),
        ),
        "AI disclosure within 10 s": (
            answered, calls.c.disclosure_s <= DISCLOSURE_S, calls.c.disclosure_s.is_not(None),
        ),
        "agreements with every vendor (BAA)": (
            true(), calls.c.baa_complete.is_(True), calls.c.baa_complete.is_not(None),
        ),
    }  # fmt: skip
    sums = []
    for subject, passes, known in checks.values():
        for condition in (subject, subject & known, subject & known & passes):
            sums.append(func.sum(case((condition, 1), else_=0)))
    row = [number or 0 for number in connection.execute(select(*sums).where(in_span)).one()]
    return {
        name: Rate(row[3 * index + 2], row[3 * index + 1], row[3 * index] - row[3 * index + 1])
        for index, name in enumerate(checks)
    }


def _judges(connection: Connection, in_span: ColumnElement[bool]) -> tuple[tuple[str, str, int], ...]:
    """Return who scored: the judge's digest, the rubric's version, and how many calls."""
    query = (
        select(calls.c.judge_digest, calls.c.rubric_version, func.count().label("number"))
        .where(in_span, calls.c.judge_digest.is_not(None))
        .group_by(calls.c.judge_digest, calls.c.rubric_version)
        .order_by(func.count().desc(), calls.c.judge_digest)
    )
    return tuple((row.judge_digest, row.rubric_version or "unknown", row.number) for row in connection.execute(query))


def _span(period: Period, use_case: str | None) -> Span:
    return Span(period.since, period.until, period.as_of, use_case)


def _in_span(span: Span) -> ColumnElement[bool]:
    where = (
        (calls.c.started_at >= span.since)
        & (calls.c.started_at < span.until)
        & (calls.c.ended_at <= span.as_of)
        & calls.c.probe.is_(False)
    )
    return where if span.use_case is None else where & (calls.c.use_case == span.use_case)


def _name(group: Group) -> tuple[str, str]:
    return group.use_case or "", group.tier or ""
