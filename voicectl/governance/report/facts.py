"""Read from the database what a report tells: figures of the period and the one before, and what stands behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select

from voicectl.governance.kpi.counts import Counts, Dimension, Group
from voicectl.governance.kpi.kpis import Kpis, kpis
from voicectl.governance.kpi.query import (
    DAY_S,
    Span,
    complaints_imported_at,
    count_calls,
    count_words,
    latency_quantiles,
    turns_within,
)
from voicectl.governance.kpi.rate import Rate
from voicectl.governance.report.compliance import Violations, read_audit, read_violations
from voicectl.governance.report.gaps import KnowledgeGap, Question, grouped
from voicectl.governance.report.lines import Lines
from voicectl.governance.report.period import Period
from voicectl.governance.score.calibration import JudgeQuality
from voicectl.governance.score.shelf import judge_qualities
from voicectl.governance.store.tables import calls, scores

TOP: Final = 10
SHOWN_CALLS: Final = 5
MAX_QUESTIONS: Final = 2_000
TRAILING: Final = 6
"""Days before the period that the first seven-day figures need."""
FINDINGS: Final = ("compliance", "escalation", "quality")


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that went wrong: how often, of which kind, and in which calls, the latest first."""

    name: str
    kind: str
    count: int
    call_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report is made of. `by_day` has only days with a completed call, and begins TRAILING days early.

    `v2v_within` are the turns that the P90 of the policy's alert allows nine in ten of, in this period and before.

    `qualities` are of the judge that scored most of the period. `audit` are checks of compliance and the
    calls that pass them. `complaints_at` is when complaints were last imported, `first_call_at` when the first
    call of the whole record began.
    """

    period: Period
    use_case: str | None
    total: Kpis
    previous: Kpis
    by_use_case: Mapping[tuple[str, str], Kpis]
    by_tier: Mapping[str, Kpis]
    by_day: Mapping[int, Kpis]
    v2v_within: Rate | None
    v2v_within_before: Rate | None
    reasons: tuple[Reason, ...]
    unscored: tuple[Reason, ...]
    gaps: tuple[KnowledgeGap, ...]
    violations: Violations
    audit: Mapping[str, Rate]
    qualities: Mapping[str, JudgeQuality]
    judges: tuple[tuple[str, str, int], ...]
    complaints_at: float | None
    first_call_at: float | None
    num_unended: int
    num_incomplete: int

    @property
    def tiers(self) -> set[str]:
        """The tiers of the calls."""
        return set(self.by_tier)


def read_facts(
    connection: Connection,
    period: Period,
    *,
    use_case: str | None = None,
    csat_baseline: float | None = None,
    lines: Lines | None = None,
) -> Facts:
    """Return the facts of a period. `lines` are the policy's.

    Without a baseline, CSAT is compared with the period before: that of a use case with its own, that of a day
    with the same day's.
    """
    imported_at = complaints_imported_at(connection, period.as_of)
    lines = lines or Lines()
    span = Span(period.since, period.until, period.as_of, use_case, imported_at, lines.maturities)
    before = replace(span, since=period.before().since, until=period.before().until)
    figures = partial(_figures, connection, span, before, csat_baseline=csat_baseline)
    by_use_case = {group: one for group, one in figures(("use_case", "tier")).items() if one.calls}
    by_tier = {group: one for group, one in figures(("tier",)).items() if one.calls}
    by_day = figures(("day",), earlier_s=TRAILING * DAY_S)
    names = sorted({group.use_case for group in by_use_case if group.use_case is not None})
    in_span = _in_span(span)
    judges = _judges(connection, in_span)
    return Facts(
        period=period,
        use_case=use_case,
        total=figures(()).get(Group(), kpis(Counts())),
        previous=_figures(connection, before, None, (), csat_baseline=csat_baseline).get(Group(), kpis(Counts())),
        by_use_case={_name(group): by_use_case[group] for group in sorted(by_use_case, key=_name)},
        by_tier={group.tier: by_tier[group] for group in sorted(by_tier, key=_name) if group.tier is not None},
        by_day={group.day: one for group, one in by_day.items() if group.day is not None},
        v2v_within=None if lines.v2v_p90_s is None else turns_within(connection, span, lines.v2v_p90_s),
        v2v_within_before=None if lines.v2v_p90_s is None else turns_within(connection, before, lines.v2v_p90_s),
        reasons=_reasons(connection, in_span),
        unscored=_unscored(connection, in_span),
        gaps=_gaps(connection, in_span),
        violations=read_violations(connection, span, in_span, names),
        audit=read_audit(connection, in_span),
        qualities=judge_qualities(connection, judge_digest=judges[0][0] if judges else None, use_case=use_case),
        judges=judges,
        complaints_at=imported_at,
        first_call_at=connection.execute(
            select(func.min(calls.c.started_at)).where(calls.c.probe.is_(False))
        ).scalar_one(),
        num_unended=_num_calls(connection, span, calls.c.ended_at.is_(None)),
        num_incomplete=_num_calls(connection, span, calls.c.incomplete.is_(True)),
    )


def _figures(
    connection: Connection,
    span: Span,
    before: Span | None,
    by: Sequence[Dimension],
    *,
    earlier_s: float = 0.0,
    csat_baseline: float | None = None,
) -> dict[Group, Kpis]:
    """Return the figures of each group, from `earlier_s` before the span on, CSAT against the span before."""
    seen = replace(span, since=span.since - earlier_s)
    counts = count_calls(connection, seen, by)
    words = count_words(connection, seen, by)
    quantiles = latency_quantiles(connection, seen, by)
    csat: Mapping[Group, float | None] = {}
    if before is not None and csat_baseline is None:
        csat = _csat(connection, replace(before, since=before.since - earlier_s), by, span.since - before.since)
    # Probes have words too, on days without a call of a caller.
    groups = counts.keys() | words.keys()
    return {
        group: kpis(
            counts.get(group, Counts()),
            words.get(group),
            quantiles.get(group),
            csat_baseline=csat.get(group, csat_baseline),
        )
        for group in groups
    }


def _csat(connection: Connection, span: Span, by: Sequence[Dimension], ahead_s: float) -> dict[Group, float | None]:
    """Return the mean CSAT of each group, days by the number of the day that is compared with them."""
    ahead = round(ahead_s / DAY_S)
    return {
        group if group.day is None else replace(group, day=group.day + ahead): kpis(counts).csat
        for group, counts in count_calls(connection, span, by).items()
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


def _judges(connection: Connection, in_span: ColumnElement[bool]) -> tuple[tuple[str, str, int], ...]:
    """Return who scored: the judge's digest, the rubric's version, and how many calls."""
    query = (
        select(calls.c.judge_digest, calls.c.rubric_version, func.count().label("number"))
        .where(in_span, calls.c.judge_digest.is_not(None))
        .group_by(calls.c.judge_digest, calls.c.rubric_version)
        .order_by(func.count().desc(), calls.c.judge_digest)
    )
    return tuple((row.judge_digest, row.rubric_version or "unknown", row.number) for row in connection.execute(query))


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
