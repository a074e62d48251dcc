"""The figures of a report, counted by a real PostgreSQL: those that SQLite counts."""

import pytest

from tests.fakes.gate_case import DAY, NOW, GateCase, write_rows
from tests.fakes.postgres import postgres
from voicectl.governance.kpi.query import Span, count_calls, count_words, latency_quantiles
from voicectl.governance.policy.load import load_policy
from voicectl.governance.report.facts import read_facts
from voicectl.governance.report.lines import lines_of
from voicectl.governance.report.period import period_of
from voicectl.governance.store.location import PostgresServer
from voicectl.governance.store.store import open_store

pytestmark = pytest.mark.integration


def test_postgresql_counts_what_sqlite_counts() -> None:
    case = GateCase(days=16, flagged=0.05)
    for row in case.rows[-200:-190]:
        row |= {"direction": "outbound", "dnc_listed": True, "baa_complete": False}
    span, by = Span(NOW - 10 * DAY, NOW, NOW), ("use_case", "tier", "day")
    period, lines = period_of("weekly", last=None, now=NOW), lines_of(load_policy().policy)
    with postgres() as server, open_store(PostgresServer(server.url, server.password_file)) as store:
        with store.write() as connection:
            write_rows(connection, case)
        with store.read() as there, case.connection() as here:
            for connection in (here, there):
                assert sum(counts.calls for counts in count_calls(connection, span, by).values()) > 500
            assert count_calls(there, span, by) == count_calls(here, span, by)
            assert count_words(there, span, by) == count_words(here, span, by)
            assert latency_quantiles(there, span, by) == latency_quantiles(here, span, by)
            facts = read_facts(there, period, lines=lines)
            assert facts == read_facts(here, period, lines=lines)
            assert facts.total.containment.num
            assert facts.violations.counts["dnc_dial"] == 10
            assert facts.total.escalation_to_complaint.of
