"""Read a tier's evidence from the database in one pass over its calls. Decides nothing.

Only calls that ended `max_staleness` before the instant of the check count: until then they may still be written
and scored. What answers now is read from calls that have only begun, so that a change begins evidence anew at once.
So the same instant gives the same evidence later, unless somebody changed it, or a call is written later that was
answered by something else.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, ColumnElement, Connection, UnaryExpression, and_, cast, false, func, or_, select
from sqlalchemy.sql import operators

from voicectl.core.records import Tier
from voicectl.governance.gate.counting import MICRO, Ints, Spans, counted
from voicectl.governance.gate.entries import ALWAYS, Entry
from voicectl.governance.gate.evidence import Evidence, Structure
from voicectl.governance.gate.facts import Newest, code_column
from voicectl.governance.gate.measures import judge_errors, quality, reported_violations
from voicectl.governance.kpi.query import complaints_imported_at
from voicectl.governance.policy.schema import Policy
from voicectl.governance.store.tables import calls, events

CLOCK_SKEW_S: Final = 60.0
"""How far ahead a clock may be before its calls lie in the future."""
OLDEST_AT: Final = 1_577_836_800.0
"""2020-01-01: no call of voicectl is older, so that a clock that says so is wrong."""
LONGEST_CALL_S: Final = 4 * 3600.0
"""A call without an end for longer than this is lost, not in progress."""
_ROWS: Final = 1_000
"""Rows taken at a time: few enough to stay in the cache of a processor."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The columns of the calls that were read, in the order of their start. Instants are microseconds."""

    started: NDArray[np.int64]
    ended: NDArray[np.int64]
    code: NDArray[np.int64]
    trace: NDArray[np.int64]
    digest: str


def collect(
    connection: Connection,
    policy: Policy,
    tier: Tier,
    *,
    as_of: float,
    now: float,
    entered: Mapping[str, Entry],
    events_kept_s: float | None = None,
) -> Evidence:
    """Return the evidence of a tier's use cases as of an instant, from the entry of each into the tier on.

    Every call must have events, unless it began more than `events_kept_s` ago; None: they are kept for ever.
    """
    use_cases = policy.tiers[tier].use_cases
    entry = {name: entered.get(name, ALWAYS) for name in use_cases}
    since = {name: one.since for name, one in entry.items()}
    forgiven_at = {name: one.forgiven_at for name, one in entry.items()}
    settled = as_of - policy.defaults.max_staleness
    newest = {name: found for name in use_cases if (found := _newest(connection, name, as_of, settled, since[name]))}
    kept_since = OLDEST_AT if events_kept_s is None else now - events_kept_s
    code = code_column(tier, use_cases, newest, as_of, kept_since)
    rows = _rows(connection, code, forgiven_at, settled)
    imported_at = complaints_imported_at(connection, as_of)
    spans = Spans(
        as_of=as_of,
        settled=settled,
        window_s=policy.defaults.window,
        entered_at=tuple(since.values()),
        longest_call_s=LONGEST_CALL_S,
        matured=None if imported_at is None else min(settled, imported_at) - _maturity(policy, tier),
    )
    counts = counted(rows.started, rows.ended, rows.code, rows.trace, use_cases=use_cases, newest=newest, spans=spans)
    judges = {setup.judge for setup in newest.values() if setup.judge is not None}
    violations = reported_violations(connection, forgiven_at, as_of)
    return Evidence(
        tier=tier,
        as_of=as_of,
        window_s=policy.defaults.window,
        use_cases=counts.use_cases,
        structure=_structure(
            connection,
            policy,
            tier,
            counts.structure,
            as_of=as_of,
            now=now,
            since=min(since.values()),
            imported_at=imported_at,
        ),
        judge=judge_errors(connection, judges.pop(), as_of) if len(judges) == 1 else {},
        violations={
            name: violations.get(name, 0) + counts.violations.get(name, 0)
            for name in sorted({*violations, *counts.violations})
        },
        quality=quality(connection, use_cases, settled, policy.defaults.window),
        rows_digest=rows.digest,
    )


def _maturity(policy: Policy, tier: Tier) -> float:
    criterion = policy.tiers[tier].criteria.get("escalation_to_complaint")
    return policy.defaults.window if criterion is None or criterion.maturity is None else criterion.maturity


def _newest(connection: Connection, use_case: str, as_of: float, settled: float, since: float) -> Newest | None:
    """Return what answers a use case now, None if it had no call. A judge comes later, so that settled calls tell it.

    A call that has just begun does not know all digests yet: each is that of the newest call that can tell it.
    """
    call = calls.c

    def last(digest: ColumnElement[Any], *tells: Any) -> Sequence[Any] | None:
        query = (
            select(digest)
            .where(
                call.use_case == use_case,
                call.started_at >= since,
                call.started_at <= as_of,
                call.probe == false(),
                or_(call.ended_at <= settled, *tells),
            )
            .order_by(call.started_at.desc(), call.call_id.desc())
            .limit(1)
        )
        return connection.execute(query).first()

    digests = (call.model_digest, call.prompt_digest, call.config_digest)
    found = [*(last(digest, digest.is_not(None)) for digest in digests), last(call.judge_digest)]
    model, prompt, config, judge = (None if row is None else row[0] for row in found)
    return Newest(model, prompt, config, judge) if any(found) else None


def _rows(connection: Connection, code: Any, since: Mapping[str, float], until: float) -> Rows:
    call = calls.c
    micro = [func.coalesce(cast(column * MICRO, BigInteger), -1) for column in (call.started_at, call.ended_at)]
    # SQLite streams by itself, and its own rows will do: wrapping a million of them takes as long as reading them.
    direct = connection.dialect.name == "sqlite"
    use_case: ColumnElement[Any] = call.use_case
    started_at: ColumnElement[Any] = call.started_at
    if direct and _is_most(connection, tuple(since)):
        # By an index every page would be read once for each use case.
        use_case, started_at = _unindexed(use_case), _unindexed(started_at)
    alike: dict[float, list[str]] = {}
    for name, instant in since.items():
        alike.setdefault(instant, []).append(name)
    ours = or_(*(and_(use_case.in_(names), started_at >= instant) for instant, names in alike.items()))
    query = select(call.call_id, call.trace_id, *micro, code).where(ours, started_at <= until, call.probe == false())
    parts: list[tuple[Any, ...]] = []
    found = connection.execute(query, execution_options={"stream_results": not direct, "max_row_buffer": _ROWS})
    fetch = found.cursor.fetchmany if direct and found.cursor is not None else found.fetchmany
    while chunk := fetch(_ROWS):
        ids, traces, started, ended, codes = zip(*chunk, strict=True)
        parts.append(
            (
                np.array(list(map(str.encode, ids))),
                np.fromiter(map(hash, traces), np.int64, len(traces)),
                *(np.array(column, dtype=np.int64) for column in (started, ended, codes)),
            )
        )
    found.close()
    if not parts:
        empty = np.zeros(0, dtype=np.int64)
        return Rows(empty, empty, empty, empty, hashlib.sha256(b"").hexdigest())
    names, trace, starts, ends, facts = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Rows(starts, ends, facts, trace, _digest(names, starts, ends, facts))


def _digest(names: NDArray[np.bytes_], starts: Ints, ends: Ints, facts: Ints) -> str:
    """Return the sha256 of the rows in the order of their start, whatever order they were read in."""
    order = np.argsort(starts, kind="stable")
    if np.any(np.diff(starts[order]) == 0):
        order = np.lexsort((names, starts))
    digest = hashlib.sha256()
    for column in (starts, ends, facts):
        digest.update(column[order].tobytes())
    digest.update(b"\n".join(names[order].tolist()))
    return digest.hexdigest()


def _is_most(connection: Connection, use_cases: Sequence[str]) -> bool:
    ours = select(func.count()).where(calls.c.use_case.in_(use_cases))
    every = connection.execute(select(func.count(calls.c.use_case))).scalar_one()
    return bool(connection.execute(ours).scalar_one() * 4 > every)


def _unindexed(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column as a term by which SQLite looks nothing up; SQLAlchemy renders no NOT INDEXED."""
    return UnaryExpression(column, operator=operators.custom_op("+"), type_=column.type)


def _structure(
    connection: Connection,
    policy: Policy,
    tier: Tier,
    found: Mapping[str, int],
    *,
    as_of: float,
    now: float,
    since: float,
    imported_at: float | None,
) -> Structure:
    """Return what must not be there: what the rows told (`found`), and what only the tables around them tell."""
    call = calls.c
    ours = and_(call.use_case.in_(policy.tiers[tier].use_cases), call.probe == false())
    late = now + CLOCK_SKEW_S

    def count(*conditions: Any) -> int:
        return int(connection.execute(select(func.count()).select_from(calls).where(*conditions)).scalar_one())

    lately = select(func.max(call.ended_at)).where(
        ours, call.started_at >= as_of - 6 * LONGEST_CALL_S, call.ended_at <= as_of
    )
    future = or_(call.started_at > late, and_(call.started_at > as_of - 86_400, call.ended_at > late))
    return Structure(
        newest_ended_at=connection.execute(lately).scalar(),
        in_the_future=count(ours, future),
        before_time=count(ours, call.started_at < OLDEST_AT),
        unlisted=_unlisted(connection, policy, tier, since, as_of),
        without_row=_without_row(connection, since, as_of - LONGEST_CALL_S),
        complaints_imported_at=imported_at,
        forbidden_scope=found["dtmf"] if "pci" in policy.tiers[tier].forbid_scopes else 0,
        **{name: number for name, number in found.items() if name != "dtmf"},
    )


def _unlisted(connection: Connection, policy: Policy, tier: Tier, since: float, as_of: float) -> int:
    call = calls.c
    names = set(connection.execute(select(call.use_case).distinct()).scalars())
    strange = sorted(name for name in names if policy.tier_of(name) != tier)
    if not strange:
        return 0
    query = select(func.count()).where(
        call.use_case.in_(strange),
        call.tier == tier,
        call.started_at >= since,
        call.started_at <= as_of,
        call.probe == false(),
    )
    return int(connection.execute(query).scalar_one())


def _without_row(connection: Connection, since: float, until: float) -> int:
    """Return how many calls left events but no row: somebody removed them, or they were never folded."""
    told = select(events.c.call_id).distinct().subquery()
    orphans = (
        select(told.c.call_id)
        .select_from(told.outerjoin(calls, calls.c.call_id == told.c.call_id))
        .where(calls.c.call_id.is_(None))
        .subquery()
    )
    query = select(func.count(events.c.call_id.distinct())).where(
        events.c.call_id.in_(select(orphans.c.call_id)), events.c.at >= since, events.c.at <= until
    )
    return int(connection.execute(query).scalar_one())
