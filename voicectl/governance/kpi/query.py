"""Count calls, words and latencies in the database, by use case, tier and day, on SQLite and PostgreSQL alike."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    null,
    or_,
    select,
    true,
)

from voicectl.governance.kpi.counts import Counts, Dimension, Group, LatencyQuantiles, WordCounts
from voicectl.governance.kpi.rate import Rate
from voicectl.governance.score.standing import has_failed, waits
from voicectl.governance.store.tables import calls, complaints, imports, turns

DAY_S: Final = 86_400
MATURITY_S: Final = 7 * 86_400.0
"""How long after its end an escalation may still bring a complaint, where nothing else is said."""
RECONTACT_S: Final = {"24h": 86_400.0, "7d": 7 * 86_400.0}
QUANTILES: Final = {"p50_s": 0.5, "p90_s": 0.9, "p95_s": 0.95, "p99_s": 0.99}

Column = ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Span:
    """Which calls count: those that started from `since` on, before `until`, as known at `as_of`.

    Instants are seconds since the epoch. `complaints_at` is when complaints were last imported, None if never:
    what came of an escalation is known if it ended so long before as `maturities` says of its tier.
    """

    since: float
    until: float
    as_of: float
    use_case: str | None = None
    complaints_at: float | None = None
    maturities: Mapping[str, float] = field(default_factory=dict)


def count_calls(connection: Connection, span: Span, by: Sequence[Dimension] = ()) -> dict[Group, Counts]:
    """Return the counts of completed calls, probes aside, by group; groups without a call are not in it."""
    seen = _with_recontact(span)
    sums = _sums(seen.c, span)
    dimensions = _dimensions(seen.c, by)
    query = select(*dimensions, *(column.label(name) for name, column in sums.items())).where(
        seen.c.started_at < span.until, *_of_use_case(seen.c, span)
    )
    rows = connection.execute(_grouped(query, dimensions)).mappings()
    names = [field.name for field in fields(Counts)]
    found = {_group(row, by): Counts(**{name: row[name] or 0 for name in names}) for row in rows}
    return {group: counts for group, counts in found.items() if counts.calls}


def count_words(connection: Connection, span: Span, by: Sequence[Dimension] = ()) -> dict[Group, WordCounts]:
    """Return the word errors of turns that have a reference, probes included, by group."""
    dimensions = _dimensions(calls.c, by)
    sums = {
        "turns": func.count(),
        "substitutions": func.sum(turns.c.wer_substitutions),
        "deletions": func.sum(turns.c.wer_deletions),
        "insertions": func.sum(turns.c.wer_insertions),
        "words": func.sum(turns.c.wer_words),
    }
    query = (
        select(*dimensions, *(column.label(name) for name, column in sums.items()))
        .select_from(calls.join(turns, turns.c.call_id == calls.c.call_id))
        .where(_in_span(span), turns.c.wer_words.is_not(None), *_of_use_case(calls.c, span))
    )
    rows = connection.execute(_grouped(query, dimensions)).mappings()
    found = {_group(row, by): WordCounts(**{name: row[name] or 0 for name in sums}) for row in rows}
    return {group: counts for group, counts in found.items() if counts.turns}


def complaints_imported_at(connection: Connection, as_of: float) -> float | None:
    """Return when complaints were last imported, None if never."""
    query = select(func.max(imports.c.at)).where(imports.c.kind == "complaints", imports.c.at <= as_of)
    return connection.execute(query).scalar()


def latency_quantiles(
    connection: Connection, span: Span, by: Sequence[Dimension] = ()
) -> dict[Group, LatencyQuantiles]:
    """Return order statistics of v2v over turns of completed calls, probes aside, by group."""
    dimensions = _dimensions(calls.c, by)
    ranked = (
        select(
            *dimensions,
            turns.c.v2v_s,
            func.row_number().over(partition_by=dimensions or None, order_by=turns.c.v2v_s).label("rank"),
            func.count().over(partition_by=dimensions or None).label("n"),
        )
        .select_from(calls.join(turns, turns.c.call_id == calls.c.call_id))
        .where(_in_span(span), calls.c.probe == false(), turns.c.v2v_s.is_not(None), *_of_use_case(calls.c, span))
        .subquery()
    )
    # The smallest rank that has at least q of the values at or below it: ceil(q * n), in whole numbers.
    ranks = {name: _rank(ranked.c.n, share) for name, share in QUANTILES.items()}
    query = select(*(ranked.c[name] for name in by), ranked.c.rank, ranked.c.n, ranked.c.v2v_s)
    rows = connection.execute(query.where(or_(*(ranked.c.rank == rank for rank in ranks.values())))).mappings()
    found: dict[Group, LatencyQuantiles] = {}
    for row in rows:
        group = _group(row, by)
        known = found.get(group, LatencyQuantiles(row["n"]))
        own = {
            name: row["v2v_s"] if row["rank"] == rank_of(row["n"], share) else getattr(known, name)
            for name, share in QUANTILES.items()
        }
        found[group] = LatencyQuantiles(row["n"], **own)
    return found


def turns_within(connection: Connection, span: Span, limit_s: float) -> Rate:
    """Return how many turns of completed calls, probes aside, were answered within so many seconds of v2v."""
    known = (_in_span(span), calls.c.probe == false(), turns.c.v2v_s.is_not(None), *_of_use_case(calls.c, span))
    query = (
        select(_count(turns.c.v2v_s <= limit_s), func.count())
        .select_from(calls.join(turns, turns.c.call_id == calls.c.call_id))
        .where(*known)
    )
    within, of = connection.execute(query).one()
    return Rate(within or 0, of)


def rank_of(n: int, share: float) -> int:
    """Return which of `n` sorted values, counted from 1, is the quantile."""
    hundredths = round(share * 100)
    return max(1, math.ceil(n * hundredths / 100))


def _rank(n: Column, share: float) -> Column:
    hundredths = round(share * 100)
    return (n * hundredths + 99) // 100


def _with_recontact(span: Span) -> Any:
    """Return calls of the span with when their caller called next; the latter may lie behind the span."""
    later = span.until + max(RECONTACT_S.values())
    next_at = func.lead(calls.c.started_at).over(
        partition_by=(calls.c.tenant, calls.c.caller_key), order_by=(calls.c.started_at, calls.c.call_id)
    )
    return (
        select(calls, case((calls.c.caller_key.is_not(None), next_at)).label("next_at"))
        .where(
            calls.c.started_at >= span.since,
            calls.c.started_at < later,
            calls.c.started_at <= span.as_of,
            calls.c.probe == false(),
        )
        .subquery("seen")
    )


def _sums(call: Any, span: Span) -> dict[str, Column]:
    completed = and_(call.ended_at.is_not(None), call.ended_at <= span.as_of)
    settled = _contained(call)
    warm = _warm(call)
    escalated = call.escalated == true()
    matured = and_(completed, escalated, _matured(call, span))
    complained = exists(
        select(null()).where(complaints.c.call_id == call.call_id, complaints.c.received_at <= span.as_of)
    )
    sums: dict[str, Column] = {
        "calls": _count(completed),
        "pending": _count(and_(completed, waits(call))),
        "failed": _count(and_(completed, has_failed(call))),
        **_proportion("contained", completed, settled),
        **_recontacts(call, span, completed, settled),
        **_proportion("deflected", completed, call.deflected),
        **_proportion("escalated", completed, call.escalated),
        **_proportion("appropriate", completed, call.escalation_appropriate),
        "transfers": _count(and_(completed, call.transfer_attempted == true())),
        **_proportion("warm", completed, warm),
        "escalations_matured": _count(matured),
        "num_complained": _count(and_(matured, complained)),
        **_proportion("flagged", completed, call.compliance_flagged),
        **_proportion("resolved", completed, call.resolved),
        **_proportion("resolved_by_judge", and_(completed, call.resolved_by == "judge"), call.resolved),
        **_proportion("contained_by_judge", and_(completed, _rests_on_judge(call)), call.resolved),
        **_proportion("flagged_by_judge", and_(completed, call.judge_digest.is_not(None)), call.compliance_flagged),
        "num_resolved_with_cost": _count(and_(completed, call.resolved == true(), call.cost.is_not(None))),
    }
    amounts = {"handle_s": call.handle_s, "csat": call.csat, "sentiment": call.sentiment, "spent": call.cost}
    for name, column in amounts.items():
        sums[name] = func.sum(case((completed, column)))
        sums[f"of_{name.removesuffix('_s')}"] = _count(and_(completed, column.is_not(None)))
    # Of calls whose resolution is unknown the cost belongs to neither side.
    priced = and_(completed, call.cost.is_not(None), call.resolved.is_not(None))
    return sums | {"cost": func.sum(case((priced, call.cost))), "of_cost": _count(priced)}


def _matured(call: Any, span: Span) -> Column:
    """Return whether a complaint about an escalation would have been imported by now."""
    if span.complaints_at is None:
        return false()
    maturity: Any = case(dict(span.maturities), value=call.tier, else_=MATURITY_S) if span.maturities else MATURITY_S
    return call.ended_at + maturity <= min(span.as_of, span.complaints_at)  # type: ignore[no-any-return]  # a column


def _contained(call: Any) -> Column:
    """Return `core.records.contained` in SQL: true, false, or null while it is unknown."""
    failed = or_(
        call.answered_at.is_(None),
        call.resolved == false(),
        call.transfer_attempted == true(),
        call.abandoned == true(),
    )
    held = and_(
        call.answered_at.is_not(None),
        call.resolved == true(),
        call.transfer_attempted == false(),
        call.abandoned == false(),
    )
    return case((failed, false()), (held, true()), else_=null())


def _rests_on_judge(call: Any) -> Column:
    """Return whether the judge's word decides if a call was contained: a transfer proves by itself that it was not."""
    open_to_it = and_(
        call.answered_at.is_not(None), call.transfer_attempted == false(), call.abandoned == false()
    )  # fmt: skip
    return and_(call.resolved_by == "judge", open_to_it)


def _warm(call: Any) -> Column:
    """Return whether an attempted transfer was warm: a human was reached and had the context; null if unknown."""
    late = call.screen_pop_at > call.human_answer_at
    failed = or_(
        call.transfer_result.in_(("failed", "abandoned")),
        call.transfer_complete == false(),
        and_(call.transfer_result == "succeeded", call.transfer_payload_digest.is_(None)),
        late,
    )
    held = and_(call.transfer_result == "succeeded", call.transfer_complete == true())
    return case((call.transfer_attempted == true(), case((failed, false()), (held, true()), else_=null())))


def _recontacts(call: Any, span: Span, completed: Column, settled: Column) -> dict[str, Column]:
    """Return containment among calls whose caller is known and had the time to call again."""
    sums: dict[str, Column] = {}
    for name, within_s in RECONTACT_S.items():
        told = and_(
            completed,
            call.caller_key.is_not(None),
            call.ended_at <= span.as_of - within_s,
            settled.is_not(None),
        )
        again = and_(call.next_at.is_not(None), call.next_at <= call.ended_at + within_s)
        sums[f"num_contained_{name}"] = _count(and_(told, settled == true(), ~again))
        sums[f"of_contained_{name}"] = _count(told)
    return sums


def _proportion(name: str, completed: Column, column: Column) -> dict[str, Column]:
    return {
        f"num_{name}": _count(and_(completed, column == true())),
        f"of_{name}": _count(and_(completed, column.is_not(None))),
    }


def _count(condition: Column) -> Column:
    return func.sum(case((condition, 1), else_=0))


def _in_span(span: Span) -> Column:
    return and_(
        calls.c.started_at >= span.since,
        calls.c.started_at < span.until,
        calls.c.ended_at.is_not(None),
        calls.c.ended_at <= span.as_of,
    )


def _of_use_case(call: Any, span: Span) -> list[Column]:
    return [] if span.use_case is None else [call.use_case == span.use_case]


def _dimensions(call: Any, by: Sequence[Dimension]) -> list[Column]:
    # Instants are after the epoch, so that cutting off is rounding down.
    columns: dict[Dimension, Column] = {
        "use_case": call.use_case,
        "tier": call.tier,
        "day": cast(func.floor(call.started_at / DAY_S), Integer),
    }
    return [columns[name].label(name) for name in by]


def _grouped(query: "Select[Any]", dimensions: Sequence[Column]) -> "Select[Any]":
    return query.group_by(*dimensions).order_by(*dimensions) if dimensions else query


def _group(row: Any, by: Sequence[Dimension]) -> Group:
    return Group(**{name: row[name] for name in by})
