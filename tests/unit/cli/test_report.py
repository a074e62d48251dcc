"""`voicectl report` writes what it is asked for, and refuses what it cannot write with its exit code."""

import json
import os
from pathlib import Path

import pytest

from voicectl.cli import calls_score, report
from voicectl.cli.main import main
from voicectl.governance.policy.load import PACKAGED
from voicectl.governance.store.location import SqliteFile
from voicectl.governance.store.store import open_store


@pytest.fixture
def url(tmp_path: Path) -> str:
    path = tmp_path / "records.db"
    open_store(SqliteFile(path)).close()
    return f"governance.url=sqlite:///{path}"


def test_an_empty_database_is_a_clear_report(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weekly", "--set", url], report.app) == 0
    assert "No call was completed in this period" in capsys.readouterr().out


def test_json_is_one_document(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monthly", "--set", url, "--until", "2026-08-31", "--json"], report.app) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["period"]["first"], document["total"]["containment"]["value"]) == ("2026-08-02", None)


def test_files_are_private(url: str, tmp_path: Path) -> None:
    for name in ("a.md", "a.html"):
        out = tmp_path / name
        assert main(["quarterly", "--set", url, "--out", str(out)], report.app) == 0
        assert out.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")


def test_a_link_stays_and_its_file_is_written(url: str, tmp_path: Path) -> None:
    link, file = tmp_path / "latest.md", tmp_path / "kept" / "week.txt"
    file.parent.mkdir()
    link.symlink_to(file)
    assert main(["weekly", "--set", url, "--out", str(link)], report.app) == 0
    assert link.is_symlink()
    assert file.read_text().startswith("# Weekly scoring digest")


def test_what_is_no_regular_file_is_not_replaced(url: str, tmp_path: Path) -> None:
    (tmp_path / "folder.md").mkdir()
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "device.md").symlink_to("/dev/null")
    for name in ("folder.md", "pipe.md", "device.md"):
        assert main(["weekly", "--set", url, "--out", str(tmp_path / name)], report.app) == 2


def test_a_report_is_read_against_the_policy_in_force(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path))
    own = tmp_path / "etc/gate-policy.yaml"
    own.parent.mkdir()
    assert main(["monthly", "--set", url], report.app) == 0
    assert "P90 above 3.5 s" in capsys.readouterr().out
    own.write_text(PACKAGED.read_text().replace("p90_gt: 3.5s", "p90_gt: 2.5s"))
    assert main(["monthly", "--set", url], report.app) == 0
    assert "P90 above 2.5 s" in capsys.readouterr().out
    own.write_text("no: policy")
    assert main(["monthly", "--set", url], report.app) == 24


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["weekly", "--until", "tomorrow"], 2),
        (["weekly", "--out", "report.pdf"], 2),
        (["weekly", "--out", "/no/such/folder/a.md"], 2),
        (["weekly", "--csat-baseline", "nan"], 2),
        (["weekly", "--csat-baseline", "inf"], 2),
        (["yearly"], 2),
        (["weekly", "--policy", "/no/such.yaml"], 24),
        (["weekly", "--set", "governance.url=sqlite:////no/such.db"], 3),
    ],
)
def test_what_cannot_be_meant_is_refused(url: str, arguments: list[str], status: int) -> None:
    assert main([*arguments, "--set", url] if "--set" not in arguments else arguments, report.app) == status


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--all", "--failed"], 2),
        (["--call", "c", "--limit", "3"], 2),
        (["--rubric", "/no/such.yaml"], 3),
        (["--references", "/no/such.jsonl"], 3),
        ([], 0),
    ],
)
def test_scoring_without_calls_starts_no_model(url: str, arguments: list[str], status: int) -> None:
    assert main([*arguments, "--set", url], calls_score.app) == status
