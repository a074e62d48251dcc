"""Zero-tolerance events are told whether they were reported or only rows show them, and all of them are counted."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import insert

from tests.fakes.gate_case import DAY, GateCase
from tests.fakes.gate_case import NOW as GATE_NOW
from tests.fakes.records import DAY_S, NOW, MemoryRecords, a_call
from voicectl.governance.policy.load import load_policy
from voicectl.governance.report.cadence import digest_of
from voicectl.governance.report.compliance import MAX_SHOWN
from voicectl.governance.report.digest import Digest
from voicectl.governance.report.facts import Facts, read_facts
from voicectl.governance.report.lines import Lines, lines_of
from voicectl.governance.report.markdown import markdown
from voicectl.governance.report.period import period_of
from voicectl.governance.store.tables import violations

LINES = lines_of(load_policy().policy)
LAWFUL = {"direction": "outbound", "dnc_listed": False, "window_verdict": "allowed", "consent_id": "c"}


def facts_of(records: MemoryRecords) -> Facts:
    with records.read() as connection:
        return read_facts(connection, period_of("quarterly", last=None, now=NOW + 60))


def digest_with(*, num_reported: int = 0, num_dials: int = 0, lines: Lines = LINES) -> tuple[Facts, Digest]:
    records = MemoryRecords()
    for number in range(num_dials):
        records.add(a_call(f"c{number}", **{**LAWFUL, "dnc_listed": True}))
    records.add(a_call("lawful", **LAWFUL))
    rows = [{"kind": "pan_in_log", "at": NOW - DAY_S + number} for number in range(num_reported)]
    if rows:
        with records.write() as connection:
            connection.execute(insert(violations), rows)
    facts = facts_of(records)
    records.close()
    return facts, digest_of(facts, lines)


def test_dials_that_only_rows_show_are_told_and_passed_on() -> None:
    facts, found = digest_with(num_dials=40)
    assert facts.violations.counts == {"dnc_dial": 40}
    assert found.escalated == (
        "zero-tolerance event dnc_dial, 40 times",
        "audit: do-not-call list checked, number not on it: 40 of 41 calls do not pass",
    )
    text = markdown(found)
    assert "No zero-tolerance event was recorded" not in text
    assert text.count("the call's own record shows it") == 40


def test_events_are_counted_apart_from_those_that_are_listed() -> None:
    facts, found = digest_with(num_reported=MAX_SHOWN + 50)
    assert facts.violations.counts == {"pan_in_log": MAX_SHOWN + 50}
    assert facts.violations.latest[-1].at == NOW - DAY_S + MAX_SHOWN + 49
    assert found.facts["num_violations"] == {"pan_in_log": 250}
    text = markdown(found)
    assert r"Zero-tolerance events: 250 (pan\_in\_log 250)." in text
    assert "The latest 200 of them are listed." in text


def test_what_the_policy_tolerates_is_no_zero_tolerance_event() -> None:
    tolerant = Lines(zero_tolerance=frozenset({"missing_baa"}))
    _, found = digest_with(num_reported=2, lines=tolerant)
    assert found.escalated == ()
    assert "No zero-tolerance event was recorded." in markdown(found)


@pytest.mark.parametrize(
    "spoiled",
    [
        {**LAWFUL, "dnc_listed": True},
        {**LAWFUL, "window_verdict": None},
        {**LAWFUL, "consent_id": None},
        {**LAWFUL, "consent_revoked_at": 0.0},
        {**LAWFUL, "dnc_listed": True, "window_verdict": "blocked", "baa_complete": False},
        {"baa_complete": False},
        LAWFUL,
    ],
)
def test_a_report_counts_the_events_that_the_gate_counts(spoiled: dict[str, object]) -> None:
    case = GateCase(days=3, per_day=30)
    for row in case.rows[10:13]:
        row |= spoiled
    case.violations.append({"kind": "dnc_dial", "use_case": None, "at": GATE_NOW - DAY})
    today = datetime.fromtimestamp(GATE_NOW, UTC).date()
    with case.connection() as connection:
        facts = read_facts(connection, period_of("weekly", last=today, now=GATE_NOW))
    assert facts.violations.counts == case.evidence().violations
