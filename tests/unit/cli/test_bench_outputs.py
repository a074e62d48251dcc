"""Files are looked at before a run, so that an hour of load is not lost to a missing folder."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes.bench_records import MET, record, summary
from voicectl.bench.report.files import read_record
from voicectl.cli.bench_outputs import Outputs
from voicectl.core.errors import UsageError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_record_is_named_by_its_instant_in_the_folder(tmp_path: Path) -> None:
    outputs = Outputs.checked(tmp_path, None, None, NOW)
    assert outputs.record == tmp_path / "voicectl-bench-20260102T030405Z.json.gz"
    assert outputs.record_of_level(3) == tmp_path / "voicectl-bench-20260102T030405Z-level-3.json.gz"


def test_missing_folder_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--out .*/none does not exist") as refusal:
        Outputs.checked(tmp_path / "none", None, None, NOW)
    assert refusal.value.hint == f"mkdir -p {tmp_path / 'none'}"


def test_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is no folder"):
        Outputs.checked(tmp_path / "file", None, None, NOW)


def test_report_in_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--html"):
        Outputs.checked(tmp_path, None, tmp_path / "none" / "run.html", NOW)


def test_one_file_for_two_reports_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="same name"):
        Outputs.checked(tmp_path, tmp_path / "run", tmp_path / "run", NOW)


def test_all_that_is_wanted_is_written(tmp_path: Path) -> None:
    outputs = Outputs.checked(tmp_path, tmp_path / "run.xml", tmp_path / "run.html", NOW)
    outputs.write_record(record())
    outputs.write_reports(record(), summary(slos=(MET,)))
    assert outputs.record is not None
    assert read_record(outputs.record) == record()
    assert (tmp_path / "run.xml").read_bytes().startswith(b"<")
    assert (tmp_path / "run.html").read_bytes().startswith(b"<!doctype html>")
    assert outputs.names()["html"] == str(tmp_path / "run.html")
