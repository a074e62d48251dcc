"""A verdict for machines and reviews: JSON, JUnit, SARIF 2.1.0 and Markdown. Decides nothing.

What holds a tier back is a failure in every format, never something skipped.
"""

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from junitparser import Failure, JUnitXml, TestCase, TestSuite

from voicectl import __version__
from voicectl.governance.gate.explanation import HEADLINES, Line, lines, next_step
from voicectl.governance.gate.verdict import Verdict
from voicectl.governance.policy.load import LoadedPolicy

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_MARKS: Final = {"ok": "holds", "note": "note", "hold": "**missing**", "fail": "**fails**"}


def document(verdict: Verdict, policy: LoadedPolicy) -> dict[str, Any]:
    """Return the verdict as JSON."""
    evidence = verdict.evidence
    return {
        "tier": verdict.tier,
        "use_cases": list(verdict.use_cases),
        "decision": verdict.decision,
        "exit_code": verdict.exit_code,
        "headline": HEADLINES[verdict.decision],
        "next": next_step(verdict),
        "policy": {
            "path": str(policy.path),
            "sha256": policy.sha256,
            "digest": policy.digest,
            "in_force": "policy" not in verdict.drafts,
        },
        "reviewers": {"in_force": "reviewers" not in verdict.drafts},
        "checks": [
            {"level": line.level, "name": line.name, "text": line.text, "line": policy.document.line_of(*line.place)}
            for line in lines(verdict, policy.policy)
        ],
        "criteria": [
            {
                **asdict(result),
                "reasons": list(result.reasons),
                "window": {**asdict(result.window), "total": result.window.total},
                "total": {**asdict(result.total), "total": result.total.total},
            }
            for result in verdict.criteria
        ],
        "evidence": None
        if evidence is None
        else {
            **evidence.document(),
            "digest": evidence.digest,
            "configuration_digest": evidence.configuration_digest,
        },
        "signoff": {"signed": list(verdict.signoff.signed), "missing": list(verdict.signoff.missing)},
    }


def to_json(verdict: Verdict, policy: LoadedPolicy) -> str:
    """Return the JSON text."""
    return json.dumps(document(verdict, policy), ensure_ascii=False, indent=2) + "\n"


def to_junit(verdict: Verdict, policy: LoadedPolicy) -> str:
    """Return JUnit XML: a case for everything that was looked at."""
    suite = TestSuite(f"voicectl gate: tier {verdict.tier}")
    for line in lines(verdict, policy.policy):
        case = TestCase(line.name, classname=f"gate.{verdict.tier}")
        if line.level in ("hold", "fail"):
            case.result = [Failure(line.text, f"{line.level}")]
        else:
            case.system_out = line.text
        suite.add_testcase(case)
    if verdict.exit_code and not any(line.level in ("hold", "fail") for line in lines(verdict, policy.policy)):
        case = TestCase("verdict", classname=f"gate.{verdict.tier}")
        case.result = [Failure(HEADLINES[verdict.decision], "hold")]
        suite.add_testcase(case)
    return junit_text(suite)


def junit_text(suite: TestSuite) -> str:
    """Return a suite as XML."""
    xml = JUnitXml()
    xml.add_testsuite(suite)
    xml.update_statistics()
    written: bytes = xml.tostring()
    return written.decode("utf-8")


def to_sarif(verdict: Verdict, policy: LoadedPolicy) -> str:
    """Return SARIF: a result for everything that keeps the tier closed, at the line of the policy that asks for it."""
    found = [line for line in lines(verdict, policy.policy) if line.level in ("hold", "fail")]
    rules = list(dict.fromkeys(_rule(line) for line in found))
    results = [_result(line, rules, policy) for line in found]
    return sarif_text(rules, results, exit_code=verdict.exit_code, is_verdict=True)


def sarif_text(rules: Sequence[str], results: Sequence[Mapping[str, Any]], *, exit_code: int, is_verdict: bool) -> str:
    """Return a SARIF log of one run, which came to a verdict or ended before."""
    log = {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "voicectl gate",
                        "version": __version__,
                        "rules": [{"id": rule, "shortDescription": {"text": rule.replace("-", " ")}} for rule in rules],
                    }
                },
                "results": list(results),
                "invocations": [{"executionSuccessful": is_verdict, "exitCode": exit_code}],
            }
        ],
    }
    return json.dumps(log, ensure_ascii=False, indent=2) + "\n"


def to_markdown(verdict: Verdict, policy: LoadedPolicy) -> str:
    """Return Markdown for a review."""
    evidence = verdict.evidence
    at = "" if evidence is None else f" as of {dt.datetime.fromtimestamp(evidence.as_of, dt.UTC):%Y-%m-%d %H:%M} UTC"
    rows = [
        f"| {_MARKS[line.level]} | {_cell(line.name)} | {_cell(line.text)} |" for line in lines(verdict, policy.policy)
    ]
    digests = [f"- policy `{policy.sha256}`"]
    if evidence is not None:
        digests += [f"- evidence `{evidence.digest}`", f"- configuration `{evidence.configuration_digest}`"]
    return "\n".join(
        [
            f"# Gate: tier {verdict.tier}",
            "",
            f"**{HEADLINES[verdict.decision]}** (exit {verdict.exit_code}){at}",
            "",
            f"Use cases: {', '.join(verdict.use_cases)}",
            "",
            "| | what | |",
            "| --- | --- | --- |",
            *rows,
            "",
            f"Next: {next_step(verdict)}",
            "",
            *digests,
            "",
        ]
    )


FORMATS: Final[Mapping[str, Callable[[Verdict, LoadedPolicy], str]]] = {
    "json": to_json,
    "junit": to_junit,
    "sarif": to_sarif,
    "markdown": to_markdown,
}


def _result(line: Line, rules: list[str], policy: LoadedPolicy) -> dict[str, Any]:
    at_line = policy.document.line_of(*line.place)
    return sarif_result(_rule(line), rules, f"{line.name}: {line.text}", policy.path, at_line)


def sarif_result(rule: str, rules: list[str], text: str, path: Path, line: int) -> dict[str, Any]:
    """Return an error at a line of a file."""
    location = {"artifactLocation": {"uri": _uri(path)}, "region": {"startLine": line}}
    return {
        "ruleId": rule,
        "ruleIndex": rules.index(rule),
        "level": "error",
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    }


def _uri(path: Path) -> str:
    # A relative one is resolved by its reader, against the repository.
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _rule(line: Line) -> str:
    return line.name.replace(": ", "-").replace(" ", "-")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
