"""The real promtool runs the rules that the policy makes, and the tests that are made with them."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from voicectl.governance.alerts.rule_tests import LONG_TESTS, TESTS, written_files
from voicectl.governance.alerts.rules import rules_of
from voicectl.governance.policy.load import PACKAGED, load_policy, parse_policy

pytestmark = pytest.mark.integration

OTHER_BARS = [
    "{metric: wer, gt: 0.02}",
    "{metric: wer, gt: 0.30}",
    "{metric: containment_rate, lt: 0.55}",
    "{metric: containment_rate, lt: 0.15, after: 1d}",
    "{metric: containment_drop, gt: 0.99, unit: relative}",
    "{metric: containment_drop, gt: 0.5, unit: relative}",
    "{metric: compliance_flag_rate, gt: 0.5}",
    "{metric: compliance_flag_rate, gt: 0.005}",
    "{metric: warm_transfer_failure, gt: 0.999}",
    "{metric: v2v, p90_gt: 0.1s}",
    "{metric: v2v, p90_gt: 0.55s}",
    "{metric: v2v, p99_gt: 9.9s}",
]


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: it comes with the package prometheus")
    return found


def written(folder: Path, text: str = PACKAGED.read_text()) -> tuple[Path, list[str]]:
    for name, content in (files := written_files(parse_policy(folder / "policy.yaml", text.encode()).document)):
        (folder / name).write_text(content)
    rules, *tests = (folder / name for name, _ in files)
    return rules, [str(path) for path in tests]


def with_alerts(*alerts: str) -> str:
    """Return the packaged policy with other alerts."""
    before, rest = PACKAGED.read_text().split("\nalerts:\n")
    after = rest[rest.index("\nchecklist:") :]
    return before + "\nalerts:\n" + "\n".join(f"  - {alert}" for alert in alerts) + after


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_the_rules_are_valid(promtool: str, tmp_path: Path) -> None:
    rules, _ = written(tmp_path)
    checked = run(promtool, "check", "rules", str(rules))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_fires_stays_quiet_and_is_missed(promtool: str, tmp_path: Path) -> None:
    _, tests = written(tmp_path)
    tested = run(promtool, "test", "rules", *tests)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_alerts_with_other_bars_fire_and_stay_quiet(promtool: str, tmp_path: Path) -> None:
    _, tests = written(tmp_path, with_alerts(*OTHER_BARS))
    tested = run(promtool, "test", "rules", *tests)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_alerts_over_other_times_fire_and_stay_quiet(promtool: str, tmp_path: Path) -> None:
    # The policy's own checks may want other times, those of the rules do not.
    over = {
        "compliance_flag_rate": 90.0,
        "warm_transfer_failure": 600.0,
        "wer": 30 * 86_400.0,
        "containment_drop": 3600.0,
    }
    document = load_policy().document
    changed = tuple(
        alert.model_copy(update={"over": over.get(alert.metric)}) for alert in document.content.alerts
    )  # fmt: skip
    other = replace(document, content=document.content.model_copy(update={"alerts": changed}))
    for name, content in written_files(other):
        (tmp_path / name).write_text(content)
    tested = run(promtool, "test", "rules", str(tmp_path / TESTS), str(tmp_path / LONG_TESTS))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("place", range(len(load_policy().policy.alerts)))
def test_a_rule_that_never_fires_fails_its_test(place: int, promtool: str, tmp_path: Path) -> None:
    rules, tests = written(tmp_path)
    rule = rules_of(load_policy().policy)[place]
    own = only_of(rule.name, tests)
    text = rules.read_text()
    assert rule.expression in text
    rules.write_text(text.replace(rule.expression, f"({rule.expression}) and vector(0) > 1", 1))
    assert run(promtool, "test", "rules", *own).returncode != 0


def test_a_rule_that_does_not_wait_fails_its_test(promtool: str, tmp_path: Path) -> None:
    rules, tests = written(tmp_path)
    own = only_of("VoicectlContainmentRate", tests)
    rules.write_text(rules.read_text().replace(" > 5184000", " > 60"))
    assert "waits" in run(promtool, "test", "rules", *own).stderr


def only_of(alert: str, paths: list[str]) -> list[str]:
    """Leave in the files only the tests of one alert, and return those that have any."""
    kept = []
    for path in map(Path, paths):
        document = yaml.safe_load(path.read_text())
        document["tests"] = [test for test in document["tests"] if test["name"].startswith(f"{alert} ")]
        path.write_text(yaml.safe_dump(document))
        kept += [str(path)] if document["tests"] else []
    assert kept, "no test is about this rule"
    return kept
