"""The real promtool runs the rules that the policy makes, and the tests that are made with them."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from voicectl.governance.alerts.rules import rules_of, written_files
from voicectl.governance.policy.load import load_policy

pytestmark = pytest.mark.integration


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: it comes with the package prometheus")
    return found


def written(folder: Path) -> tuple[Path, list[str]]:
    files = written_files(load_policy().policy)
    for name, text in files:
        (folder / name).write_text(text)
    rules, *tests = (str(folder / name) for name, _ in files)
    return Path(rules), tests


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


@pytest.mark.parametrize("place", range(len(load_policy().policy.alerts)))
def test_a_rule_that_never_fires_fails_its_test(place: int, promtool: str, tmp_path: Path) -> None:
    rules, tests = written(tmp_path)
    rule = rules_of(load_policy().policy)[place]
    own = [test for path in tests if (test := only_of(rule.name, Path(path)))]
    assert own, "no test is about this rule"
    text = rules.read_text()
    assert rule.expression in text
    rules.write_text(text.replace(rule.expression, f"({rule.expression}) and vector(0) > 1", 1))
    assert run(promtool, "test", "rules", *own).returncode != 0


def only_of(alert: str, path: Path) -> str | None:
    """Leave in a file only the tests of one alert; weeks of the others' data would be read for nothing."""
    document = yaml.safe_load(path.read_text())
    document["tests"] = [test for test in document["tests"] if test["name"].startswith(f"{alert} ")]
    path.write_text(yaml.safe_dump(document))
    return str(path) if document["tests"] else None
