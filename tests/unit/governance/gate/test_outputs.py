"""What keeps a tier closed is a failure in every format, at the line of the policy that asks for it."""

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.fakes.gate_case import GateCase
from voicectl.governance.gate.explanation import next_step, shortfalls
from voicectl.governance.gate.outputs import document, to_junit, to_markdown, to_sarif
from voicectl.governance.gate.refusal import refused
from voicectl.governance.gate.verdict import SignOffState, Verdict
from voicectl.governance.policy.load import PACKAGED, load_policy

POLICY = load_policy()


@pytest.fixture(scope="module")
def held() -> Verdict:
    return GateCase(days=2).verdict()


@pytest.fixture(scope="module")
def promoted() -> Verdict:
    return GateCase().verdict()


def test_a_hold_is_a_failure_in_junit_and_nothing_is_skipped(held: Verdict) -> None:
    root = ElementTree.fromstring(to_junit(held, POLICY))
    assert not root.findall(".//skipped")
    failed = {case.get("name") for case in root.iter("testcase") if case.find("failure") is not None}
    assert "containment_rate" in failed
    assert int(root.get("failures") or 0) == len(root.findall(".//failure")) > 0


def test_a_promotion_has_no_failure(promoted: Verdict) -> None:
    assert not ElementTree.fromstring(to_junit(promoted, POLICY)).findall(".//failure")
    assert json.loads(to_sarif(promoted, POLICY))["runs"][0]["results"] == []
    assert shortfalls(promoted, POLICY.policy) == ()


def test_sarif_points_at_the_line_of_the_criterion(held: Verdict) -> None:
    log = json.loads(to_sarif(held, POLICY))
    result = next(one for one in log["runs"][0]["results"] if one["ruleId"] == "containment_rate")
    line = result["locations"][0]["physicalLocation"]["region"]["startLine"]
    assert "containment_rate: {gte: 0.70" in PACKAGED.read_text().splitlines()[line - 1]
    assert (log["version"], result["level"]) == ("2.1.0", "error")
    assert log["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]


def test_json_is_plain_and_says_the_decision(held: Verdict) -> None:
    found = json.loads(json.dumps(document(held, POLICY)))
    assert (found["decision"], found["exit_code"]) == ("hold", 20)
    assert found["evidence"]["digest"] == held.evidence.digest if held.evidence else False


def test_markdown_names_what_is_missing_and_the_digests(held: Verdict) -> None:
    text = to_markdown(held, POLICY)
    assert "**missing** | containment_rate" in text and POLICY.sha256 in text


def test_a_refusal_has_the_exit_code_and_the_next_step(held: Verdict) -> None:
    error = refused(held, POLICY.policy)
    assert error.exit_code == 20 and "containment_rate" in error.message and error.hint == next_step(held)


def test_signatures_are_asked_for_only_once_everything_else_holds(held: Verdict) -> None:
    assert not [line for line in shortfalls(held, POLICY.policy) if line.name == "sign-off"]
    unsigned = GateCase().verdict(signoff=SignOffState(missing=("nobody has signed",)))
    assert [line.name for line in shortfalls(unsigned, POLICY.policy)] == ["sign-off"]


def test_control_characters_break_no_output() -> None:
    odd = GateCase().verdict(signoff=SignOffState(missing=("Ol\x01ga \x1b[31m\ud800: expired",)))
    said = "Ol\N{REPLACEMENT CHARACTER}ga \N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}: expired"
    assert ElementTree.fromstring(to_junit(odd, POLICY)).find(f".//failure[@message='{said}']") is not None
    assert said in to_markdown(odd, POLICY) and said in to_sarif(odd, POLICY)
    assert said in refused(odd, POLICY.policy).message


@pytest.mark.parametrize(
    ("path", "uri"),
    [(Path("/a b/p.yaml"), "file:///a%20b/p.yaml"), (Path("a b/100%.yaml"), "a%20b/100%25.yaml")],
)
def test_sarif_names_the_policy_by_a_uri(path: Path, uri: str, held: Verdict) -> None:
    elsewhere = replace(POLICY, document=replace(POLICY.document, path=path))
    result = json.loads(to_sarif(held, elsewhere))["runs"][0]["results"][0]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri
