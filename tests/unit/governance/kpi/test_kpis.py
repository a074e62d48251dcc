"""Figures are told where counts can show them, and are unknown elsewhere."""

import pytest

from voicectl.governance.kpi.counts import Counts, LatencyQuantiles
from voicectl.governance.kpi.kpis import kpis, latency


def test_nothing_counted_is_nothing_known() -> None:
    found = kpis(Counts())
    shown = found.document()
    assert found.wer is found.csat is found.handle_s is found.cost_per_resolved is found.sentiment is None
    assert shown["containment"]["value"] is shown["v2v"]["p50_s"] is None


@pytest.mark.parametrize(("n", "known"), [(4, 0), (5, 1), (28, 1), (29, 2), (59, 3), (298, 3), (299, 4)])
def test_percentiles_need_turns(n: int, known: int) -> None:
    found = latency(LatencyQuantiles(n, 1.0, 2.0, 3.0, 4.0))
    shown = [value for value in (found.p50_s, found.p90_s, found.p95_s, found.p99_s) if value is not None]
    assert shown == [1.0, 2.0, 3.0, 4.0][:known]


def test_unscored_are_those_that_wait_and_those_that_failed() -> None:
    found = kpis(Counts(calls=10, pending=2, failed=1))
    assert (found.unscored.num, found.unscored.of, found.failed) == (3, 10, 1)


def test_csat_is_compared_with_a_baseline_only_where_there_is_one() -> None:
    counts = Counts(calls=2, csat=9.0, of_csat=2)
    assert kpis(counts).csat_delta is None
    assert kpis(counts, csat_baseline=4.25).csat_delta == 0.25


def test_cost_without_a_resolved_call_is_unknown() -> None:
    assert kpis(Counts(calls=1, cost=3.0, of_cost=1)).cost_per_resolved is None


def test_a_mean_tells_of_how_many_calls_it_is() -> None:
    shown = kpis(Counts(calls=50, handle_s=60.0, of_handle=1, sentiment=1.0, of_sentiment=2)).document()
    assert (shown["handle_s"], shown["sentiment"]) == ({"value": 60.0, "of": 1}, {"value": 0.5, "of": 2})
