"""`voicectl audit`: what people and programs see, and the exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from voicectl.cli.main import main
from voicectl.governance.audit.log import AuditLog, audit_folder

pytestmark = pytest.mark.integration


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AuditLog:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path))
    log = AuditLog(audit_folder())
    for number in range(3):
        log.append("redaction_applied", {"call_id": f"sess_{number}", "counts": {"card": 1}})
    return log


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["audit", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_a_log_is_signed_and_proven_with_copies_kept_elsewhere(
    log: AuditLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, made = told(capsys, "init")
    assert status == 0
    away = tmp_path / "away.json"
    assert told(capsys, "checkpoint", "--output", str(away))[0] == 0
    proof = ("--checkpoint", str(away), "--public-key", made["public_key"])
    status, found = told(capsys, "verify", *proof)
    assert (status, found["intact"], found["proven_to"], found["first_break"]) == (0, True, 3, None)
    path = log.folder / "audit-000001.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    (log.folder / "checkpoint.json").unlink()
    assert told(capsys, "verify")[0] == 0
    status, found = told(capsys, "verify", *proof)
    assert status == 25
    assert found["first_break"]["file"] == "audit-000001.jsonl"
    assert "ends with entry 2" in found["first_break"]["what"]


def test_a_changed_entry_is_named_for_people(log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    path = log.folder / "audit-000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"sess_1", b"sess_7"))
    assert main(["audit", "verify"]) == 25
    assert "BROKEN  audit-000001.jsonl:3: its text does not have its hash" in capsys.readouterr().out


def test_a_forged_checkpoint_is_refused(log: AuditLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "checkpoint")[0] == 0
    path = log.folder / "checkpoint.json"
    path.write_bytes(path.read_bytes().replace(b'"sequence":3', b'"sequence":2'))
    status, error = told(capsys, "verify")
    assert (status, error["error"]["type"]) == (25, "AuditChainBroken")


def test_entries_are_shown_by_kind(log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    status, shown = told(capsys, "show", "--kind", "redaction_applied", "--last", "2")
    assert (status, [entry["sequence"] for entry in shown["entries"]]) == (0, [2, 3])
    assert main(["audit", "show"]) == 0
    assert "redaction_applied  call_id=sess_0 counts={'card': 1}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("show", "--kind", "nothing"), 2),
        (("verify", "--folder", "/nowhere"), 3),
        (("verify", "--checkpoint", "/nowhere"), 3),
        (("show", "--folder", "/nowhere"), 3),
        (("checkpoint", "--folder", "/proc/nowhere"), 3),
    ],
)
def test_bad_input_gets_words_and_its_exit_code(
    log: AuditLog, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int
) -> None:
    assert told(capsys, *arguments)[0] == status


def test_a_log_that_was_cut_is_not_signed_over(log: AuditLog, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "checkpoint")[0] == 0
    path = log.folder / "audit-000001.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    AuditLog(log.folder).append("redaction_applied", {"call_id": "other", "counts": {}})
    assert told(capsys, "checkpoint")[0] == 25
    assert told(capsys, "verify")[0] == 25


def test_a_checkpoint_without_a_log_leaves_the_way_free_to_begin_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path))
    assert told(capsys, "checkpoint")[0] == 3
    status, made = told(capsys, "init", "--reason", "the first one")
    assert (status, made["log_begun"]) == (0, True)
    assert told(capsys, "show")[1]["entries"][0]["body"]["details"] == {"reason": "the first one"}
    assert told(capsys, "init")[0] == 3
    assert told(capsys, "checkpoint")[0] == 0
