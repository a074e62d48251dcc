"""`voicectl gate` answers bad input with its cause, its fix and the documented exit code."""

import json
from pathlib import Path

import pytest

from voicectl.cli.main import main
from voicectl.governance.policy.load import PACKAGED
from voicectl.governance.rollout.load import load_enforcement


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path))
    return tmp_path


def test_an_invalid_policy_is_24_and_names_the_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "policy.yaml"
    path.write_text(PACKAGED.read_text().replace("gte: 0.70", "gte: 0.70, lt: 0.9"))
    assert main(["gate", "check", "--to", "medium", "--policy", str(path)]) == 24
    assert "policy.yaml:18: tiers.low.criteria.containment_rate: contradictory bars" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["check", "--to", "highest"], 2),
        (["check", "--to", "medium", "--use-case", "faq"], 2),
        (["check", "--to", "medium"], 3),
        (["check", "--to", "medium", "--output", "verdict.txt"], 2),
        (["demote", "chitchat", "--reason", "x"], 2),
        (["demote", "faq", "--reason", " "], 2),
        (["sign", "--to", "low", "--reviewer", "x", "--role", "y", "--key", "none"], 22),
        (["promote", "--to", "low"], 22),
    ],
)
def test_bad_input_has_its_exit_code(arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", *arguments]) == status
    assert "error: " in capsys.readouterr().err


def test_a_demotion_takes_effect_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert load_enforcement().is_open("faq")
    assert main(["gate", "demote", "faq", "--reason", "a test", "--by", "somebody", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["demoted"] == ["faq"]
    assert not load_enforcement().is_open("faq")
    assert main(["gate", "status", "--json"]) == 0
    rows = {row["use_case"]: row for row in json.loads(capsys.readouterr().out)["use_cases"]}
    assert (rows["faq"]["open"], rows["faq"]["reason"]) == (False, "demoted: a test")
    assert rows["order_status"]["open"]


def test_damaged_reviewers_open_nothing(home: Path) -> None:
    (home / "etc").mkdir()
    (home / "etc" / "gate-reviewers.yaml").write_text("reviewers: x")
    assert not load_enforcement().is_open("faq")


def test_rules_are_written(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "rules", "--output", str(home / "rules")]) == 0
    assert {path.name for path in (home / "rules").iterdir()} == {
        "voicectl-gate.rules.yaml",
        "voicectl-gate.tests.yaml",
        "voicectl-gate.long-tests.yaml",
    }
