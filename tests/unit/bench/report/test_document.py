"""The document says what its run is worth; figures of an INVALID run are never under `metrics`."""

import json

from tests.fakes.bench_records import BREACHED, MET, UNKNOWN, invalid, record, summary, with_failures
from voicectl.bench.report.document import exit_code, run_document


def test_exit_code_tells_invalid_before_breached() -> None:
    assert exit_code(summary()) == 0
    assert exit_code(summary(slos=(MET,))) == 0
    assert exit_code(summary(slos=(MET, BREACHED))) == 99
    assert exit_code(invalid(summary(slos=(MET, BREACHED)))) == 30


def test_threshold_without_evidence_counts_as_breached() -> None:
    assert exit_code(summary(slos=(MET, UNKNOWN))) == 99


def test_document_is_json_with_every_group_of_keys() -> None:
    document = json.loads(json.dumps(run_document(with_failures(record()), summary(slos=(MET,)))))
    assert list(document) == [
        "format",
        "verdict",
        "reasons",
        "exit_code",
        "slos",
        "metrics",
        "observed",
        "load",
        "warm_up",
        "generator",
        "begun_at",
        "wall_s",
        "plan",
        "environment",
    ]
    p95 = document["metrics"]["latencies"]["v2v"]["percentiles"]["p95"]
    assert p95["value"] == 0.92
    assert p95["low"] < 0.92 < p95["high"]
    assert document["observed"] is None
    assert document["load"]["calls"] == {"completed": 10, "refused": 1, "lost": 1, "unfinished": 0}
    assert document["slos"] == [{"text": "v2v_p50<800ms", "value": 0.6, "met": True, "reason": "P50 is at most 630 ms"}]


def test_invalid_run_has_no_metrics_and_meets_nothing() -> None:
    document = run_document(record(), invalid(summary(slos=(MET,)), "it was busy"))
    assert (document["verdict"], document["reasons"], document["metrics"]) == ("INVALID", ["it was busy"], None)
    assert document["slos"][0]["met"] is None
    assert document["observed"]["latencies"]["v2v"]["num"] == 48


def test_percentile_without_enough_samples_is_null_with_its_reason() -> None:
    p99 = run_document(record(), summary())["metrics"]["latencies"]["v2v"]["percentiles"]["p99"]
    assert (p99["value"], p99["reason"]) == (None, "needs 299 samples")
