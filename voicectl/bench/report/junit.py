"""A judged run as JUnit, for CI: one case for validity, one a threshold. Nothing is ever skipped."""

import re
from typing import Final

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from voicectl.bench.report.wording import calls_text, load_text, milliseconds, percentile_value, target_text
from voicectl.bench.run_record import RunRecord
from voicectl.bench.summary import RunSummary

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry; a server may say anything."""


def junit_bytes(record: RunRecord, summary: RunSummary) -> bytes:
    """Return the XML. INVALID is an error; a threshold that is breached, or not shown to be met, a failure."""
    name = f"bench.{record.plan.workload}"
    suite = TestSuite("voicectl bench")
    suite.timestamp = _clean(record.begun_at)
    suite.hostname = _clean(record.environment.machine)
    for key, value in _properties(record, summary).items():
        suite.add_property(_clean(key), _clean(value))
    suite.add_testcase(_validity(name, record, summary))
    for slo in summary.slos:
        case = TestCase(_clean(slo.text), classname=_clean(name))
        if summary.verdict == "INVALID":
            case.result = [Failure("not judged: the run is INVALID", "unknown")]
        elif slo.met is not True:
            case.result = [Failure(_clean(slo.reason), "unknown" if slo.met is None else "breached")]
        suite.add_testcase(case)
    xml = JUnitXml()
    xml.add_testsuite(suite)
    xml.update_statistics()
    return bytes(xml.tostring())


def _validity(name: str, record: RunRecord, summary: RunSummary) -> TestCase:
    case = TestCase("the run is valid", classname=_clean(name), time=record.wall_s)
    if summary.verdict == "INVALID":
        case.result = [Error(_clean("; ".join(summary.reasons) or "INVALID"), "INVALID")]
    return case


def _properties(record: RunRecord, summary: RunSummary) -> dict[str, str]:
    told = {
        "load": load_text(record.plan),
        "workload digest": record.plan.workload_digest,
        "target": target_text(record.environment),
        "voicectl": record.environment.voicectl,
        "calls": calls_text(record),
        **{f"server {key}": value for key, value in sorted(record.environment.server.items())},
    }
    if summary.verdict == "VALID":
        for found in summary.distributions:
            for one in found.percentiles:
                told[f"{found.metric} p{100 * one.share:.10g}, ms"] = percentile_value(one)
        told["generator lag p99, ms"] = milliseconds(summary.lag_p99_s)
    return told


def _clean(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
