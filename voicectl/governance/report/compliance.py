"""Read what is against the rules: zero-tolerance events, as reported and as rows show them, and the consent audit."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, case, func, or_, select, true

from voicectl.governance.gate.facts import VIOLATIONS, code_column, facts_of
from voicectl.governance.kpi.query import Span
from voicectl.governance.kpi.rate import Rate
from voicectl.governance.store.tables import calls, violations

DISCLOSURE_S: Final = 10.0
MAX_SHOWN: Final = 200
"""Events that are listed, the latest; all are counted."""
SHOWN_BY_ROW: Final = "the call's own record shows it"


@dataclass(frozen=True, slots=True)
class Violation:
    """A zero-tolerance event."""

    kind: str
    at: float
    use_case: str | None
    call_id: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Violations:
    """How many zero-tolerance events there were by kind, and the latest of them, the first first."""

    counts: Mapping[str, int]
    latest: tuple[Violation, ...]


def read_violations(
    connection: Connection, span: Span, in_span: ColumnElement[bool], use_cases: Sequence[str]
) -> Violations:
    """Return reported events, and those that the rows of these use cases show: what the gate counts, by its code."""
    reported, told = _reported(connection, span)
    shown, seen = _of_rows(connection, span, in_span, use_cases) if use_cases else (Counter[str](), [])
    latest = sorted((*told, *seen), key=lambda one: (one.at, one.kind, one.call_id or ""))[-MAX_SHOWN:]
    counts = reported + shown
    return Violations({kind: counts[kind] for kind in sorted(counts)}, tuple(latest))


def _reported(connection: Connection, span: Span) -> tuple[Counter[str], list[Violation]]:
    where = (violations.c.at >= span.since) & (violations.c.at < span.until)
    if span.use_case is not None:
        # An event of no use case is one of all of them.
        where &= or_(violations.c.use_case == span.use_case, violations.c.use_case.is_(None))
    kind = violations.c.kind
    numbers = connection.execute(select(kind, func.count().label("number")).where(where).group_by(kind))
    rows = connection.execute(select(violations).where(where).order_by(violations.c.at.desc()).limit(MAX_SHOWN))
    found = [Violation(row.kind, row.at, row.use_case, row.call_id, row.detail) for row in rows]
    return Counter({row.kind: row.number for row in numbers}), found


def _of_rows(
    connection: Connection, span: Span, in_span: ColumnElement[bool], use_cases: Sequence[str]
) -> tuple[Counter[str], list[Violation]]:
    # Neither tier nor setup matters to these facts, nor whether events are there.
    code = code_column("low", use_cases, {}, span.as_of, math.inf)
    own = select(calls.c.call_id, calls.c.use_case, calls.c.started_at, code.label("code")).where(in_span).subquery()
    counts: Counter[str] = Counter()
    kinds: dict[int, list[str]] = {}
    for row in connection.execute(select(own.c.code, func.count().label("number")).group_by(own.c.code)):
        _, facts = facts_of(row.code)
        if found := [name for name in VIOLATIONS if facts[name]]:
            kinds[row.code] = found
            counts.update(dict.fromkeys(found, row.number))
    latest = select(own).where(own.c.code.in_(kinds)).order_by(own.c.started_at.desc()).limit(MAX_SHOWN)
    return counts, [
        Violation(kind, row.started_at, row.use_case, row.call_id, SHOWN_BY_ROW)
        for row in connection.execute(latest)
        for kind in kinds[row.code]
    ]


def read_audit(connection: Connection, in_span: ColumnElement[bool]) -> dict[str, Rate]:
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
