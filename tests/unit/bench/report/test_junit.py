"""CI sees a case a threshold and one for validity; an INVALID run is an error, no case is ever skipped."""

from dataclasses import replace

from junitparser import Error, Failure, JUnitXml, TestCase

from tests.fakes.bench_records import BREACHED, MET, UNKNOWN, invalid, record, summary
from voicectl.bench.report.junit import junit_bytes
from voicectl.bench.run_record import RunRecord
from voicectl.bench.summary import RunSummary


def cases(summed: RunSummary, run: RunRecord | None = None) -> list[TestCase]:
    [suite] = JUnitXml.fromstring(junit_bytes(run or record(), summed))
    return list(suite)


def test_each_threshold_is_a_case_beside_validity() -> None:
    valid, met, breached, unknown = cases(summary(slos=(MET, BREACHED, UNKNOWN)))
    assert (valid.name, met.name) == ("the run is valid", "v2v_p50<800ms")
    assert valid.is_passed
    assert met.is_passed
    [why] = breached.result
    assert isinstance(why, Failure)
    assert (why.type, why.message) == ("breached", "P95 is at least 874 ms")
    [why] = unknown.result
    assert isinstance(why, Failure)
    assert why.type == "unknown"


def test_invalid_run_is_an_error_and_fails_every_threshold() -> None:
    valid, met = cases(invalid(summary(slos=(MET,)), "it was busy", "calls unfinished: 2"))
    [why] = valid.result
    assert isinstance(why, Error)
    assert why.message == "it was busy; calls unfinished: 2"
    assert isinstance(met.result[0], Failure)


def test_counts_of_the_suite_are_those_of_its_cases() -> None:
    xml = JUnitXml.fromstring(junit_bytes(record(), invalid(summary(slos=(MET, BREACHED)))))
    assert (xml.tests, xml.errors, xml.failures, xml.skipped) == (3, 1, 2, 0)
    [suite] = xml
    assert (suite.tests, suite.errors, suite.failures, suite.skipped) == (3, 1, 2, 0)


def test_what_xml_cannot_carry_is_replaced() -> None:
    run = record()
    odd = replace(run, environment=replace(run.environment, server={"model": "a\x00b\x1b[1m<c>\ud800"}))
    [suite] = JUnitXml.fromstring(junit_bytes(odd, summary()))
    assert {one.name: one.value for one in suite.properties()}["server model"] == "a�b�[1m<c>�"


def test_figures_of_an_invalid_run_are_no_properties() -> None:
    [suite] = JUnitXml.fromstring(junit_bytes(record(), invalid(summary())))
    assert not [one.name for one in suite.properties() if "p95" in one.name]
