"""`voicectl gate` answers bad input with its cause, its fix and the documented exit code."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from voicectl.cli.main import main
from voicectl.governance.audit.verify import entries
from voicectl.governance.policy.load import PACKAGED
from voicectl.governance.rollout.load import gate_folder, load_enforcement


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
        (["sign", "--to", "low", "--reviewer", "x", "--role", "y", "--key", "none"], 23),
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


@pytest.mark.parametrize("output_format", ["json", "junit", "sarif", "markdown"])
@pytest.mark.parametrize(
    ("spoil", "status"),
    [("gate-policy.yaml", 24), ("gate-evidence.yaml", 22), ("", 3), ("--to", 2)],
)
def test_a_check_that_fails_leaves_a_failed_report(
    spoil: str, status: int, output_format: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = home / "report"
    report.write_text("green")
    (home / "etc").mkdir()
    if spoil.startswith("gate"):
        (home / "etc" / spoil).write_text("- nothing\n")
    tier = "highest\x01" if spoil == "--to" else "low" if status == 22 else "medium"
    arguments = ["gate", "check", "--to", tier, "--format", output_format]
    assert main([*arguments, "--output", str(report)]) == status
    assert main(arguments) == status
    written, printed = report.read_text(), capsys.readouterr()
    assert written == printed.out, "told alike in a file and without one"
    assert printed.err.count("error: ") == 2
    match output_format:
        case "json":
            found = json.loads(written)
            assert (found["decision"], found["exit_code"], found["error"]["exit_code"]) == ("error", status, status)
        case "junit":
            root = ElementTree.fromstring(written)
            assert len(root.findall(".//error")) == 1 and root.get("errors") == "1"
        case "sarif":
            run = json.loads(written)["runs"][0]
            assert run["invocations"] == [{"executionSuccessful": False, "exitCode": status}]
            location = run["results"][0]["locations"][0]["physicalLocation"]
            assert location["artifactLocation"]["uri"].startswith("file:///") and location["region"]["startLine"] == 1
        case "markdown":
            assert f"(exit {status})" in written


def test_a_check_that_cannot_be_asked_as_json_says_so_once(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "check", "--to", "medium", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 3


def test_a_link_in_the_place_of_a_report_is_not_removed(home: Path) -> None:
    target, link = home / "target", home / "link"
    link.symlink_to(target)
    assert main(["gate", "check", "--to", "medium", "--format", "json", "--output", str(link)]) == 3
    assert link.is_symlink() and "error" in target.read_text()


@pytest.mark.parametrize("reason", ["x" * 70_000, "\udcff", "red \x1b[31m\nline"])
def test_any_reason_demotes_and_is_audited(reason: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "demote", "faq", "--reason", reason, "--by", "\udcff", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["reason"]
    assert said.isprintable() and 0 < len(said) <= 512
    assert not load_enforcement().is_open("faq")
    (told,) = [entry for entry in entries(home / "audit") if entry.kind == "tier_changed"]
    assert told.body["reason"] == said


def test_a_user_without_a_name_may_demote(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54_321)
    assert main(["gate", "demote", "faq", "--reason", "a test"]) == 0
    change = load_enforcement().state.last_change("faq")
    assert change is not None and change.by == "uid:54321"


def test_status_of_a_state_that_cannot_be_believed_is_25(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate", "status"]) == 0
    assert "may be stricter" in capsys.readouterr().err
    assert main(["gate", "demote", "faq", "--reason", "a test"]) == 0
    path = gate_folder() / "rollout.json"
    path.write_bytes(path.read_bytes().replace(b"apiVersion", b"apiversion"))
    capsys.readouterr()
    assert main(["gate", "status", "--json"]) == 25
    found = json.loads(capsys.readouterr().out)
    assert found["state"]["problem"] and not any(row["open"] for row in found["use_cases"])


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_policy_that_the_service_does_not_follow_signs_and_promotes_nothing(
    way: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draft = home / "lax.yaml"
    draft.write_text(PACKAGED.read_text() + "# lax\n")
    more = ["--policy", str(draft)] if way == "option" else []
    if way == "variable":
        monkeypatch.setenv("VOICECTL_GATE_POLICY", str(draft))
    assert main(["gate", "sign", "--to", "low", "--reviewer", "x", "--role", "y", "--key", "none", *more]) == 24
    assert main(["gate", "promote", "--to", "low", *more]) == 24
    assert "is not the policy in force on this host" in capsys.readouterr().err
    assert main(["gate", "check", "--to", "low", "--json", *more]) == 22
    assert json.loads(capsys.readouterr().out)["policy"]["in_force"] is False
    assert main(["gate", "check", "--to", "low", *more]) == 22
    assert "a draft: not what is in force" in capsys.readouterr().out


def test_use_cases_of_all_tiers_are_demoted_while_the_audit_log_cannot_be_written(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "audit").write_text("no folder")
    assert main(["gate", "demote", "faq", "account_changes", "loan_status", "--reason", "a test"]) == 25
    assert "no traffic any more, but the audit log was not told" in capsys.readouterr().err
    state = load_enforcement().state
    assert all(state.last_change(name) is not None for name in ("faq", "account_changes", "loan_status"))
