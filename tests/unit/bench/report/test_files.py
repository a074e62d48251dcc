"""Records come back as they were written; what is no record is refused with the reason, within bounds."""

import gzip
import json
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.fakes.bench_records import record, with_failures
from voicectl.bench.report import files
from voicectl.bench.report.files import RecordUnreadable, check_writable, read_record, write_record, write_whole
from voicectl.core.errors import UsageError


def as_written(**changes: Any) -> dict[str, Any]:
    return {**msgspec.to_builtins(record(2, 2)), **changes}


def refusal_of(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(RecordUnreadable) as refusal:
        read_record(path)
    assert refusal.value.exit_code == 3
    assert str(path) in refusal.value.message
    return refusal.value.message


@pytest.mark.parametrize("name", ["run.json.gz", "run.json"])
def test_record_comes_back_as_it_was_written(name: str, tmp_path: Path) -> None:
    run = with_failures(record())
    write_record(tmp_path / name, run)
    assert read_record(tmp_path / name) == run
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_same_record_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.json.gz", "b.json.gz"):
        write_record(tmp_path / name, record())
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_name_carries_the_instant_in_utc() -> None:
    assert files.default_name(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) == "voicectl-bench-20260102T030405Z.json.gz"


def test_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(msgspec.json.encode(record()))
    assert "damaged or cut off" in refusal_of(tmp_path / "cut.json.gz", packed[:-200])
    assert "no record of a run" in refusal_of(tmp_path / "cut.json", msgspec.json.encode(record())[:-200])


def test_flipped_byte_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(msgspec.json.encode(record()), mtime=0))
    packed[len(packed) // 2] ^= 0x40
    assert "damaged or cut off" in refusal_of(tmp_path / "flipped.json.gz", bytes(packed))


def test_other_format_is_refused_by_its_number(tmp_path: Path) -> None:
    assert "format 2; this voicectl reads format 1" in refusal_of(
        tmp_path / "new.json", json.dumps(as_written(format=2)).encode()
    )


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'"text"', b"\x00\xff", b"[" * 100_000])
def test_what_is_no_record_is_refused(content: bytes, tmp_path: Path) -> None:
    assert "no record of a run" in refusal_of(tmp_path / "other.json", content)


def test_wrong_type_is_refused_naming_the_place(tmp_path: Path) -> None:
    document = as_written()
    document["calls"][1]["turns"][0]["v2v_s"] = "fast"
    assert "$.calls[1].turns[0].v2v_s" in refusal_of(tmp_path / "type.json", json.dumps(document).encode())


def test_unknown_key_is_refused_naming_the_place(tmp_path: Path) -> None:
    document = as_written()
    document["calls"][1]["turns"][0]["speed"] = 1
    assert "unknown keys: $.calls[1].turns[0].speed" in refusal_of(tmp_path / "key.json", json.dumps(document).encode())


def test_negative_duration_is_refused(tmp_path: Path) -> None:
    document = as_written()
    document["calls"][1]["turns"][0]["v2v_s"] = -0.1
    assert "call 1, turn 0: v2v_s is -0.1" in refusal_of(tmp_path / "less.json", json.dumps(document).encode())


def test_instant_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "'yesterday' is no instant" in refusal_of(
        tmp_path / "when.json", json.dumps(as_written(begun_at="yesterday")).encode()
    )


def test_unpacking_stops_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_RECORD_BYTES", 2**20)
    assert "unpacks to more than 1 MiB" in refusal_of(tmp_path / "bomb.json.gz", gzip.compress(bytes(3 * 2**20)))


def test_reading_stops_at_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_FILE_BYTES", 2**20)
    assert "larger than 1 MiB" in refusal_of(tmp_path / "large.json", bytes(2**20 + 1))


def test_more_calls_than_any_run_makes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_CALLS", 1)
    assert "2 calls with 4 turns" in refusal_of(tmp_path / "many.json", json.dumps(as_written()).encode())


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordUnreadable, match="cannot be read: No such file"):
        read_record(tmp_path / "none.json.gz")


def test_folder_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(RecordUnreadable, match="cannot be read: Is a directory"):
        read_record(tmp_path)


def test_output_that_could_not_be_written_is_refused_beforehand(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--html .*: the folder .*/none does not exist"):
        check_writable(tmp_path / "none" / "page.html", option="--html")
    with pytest.raises(UsageError, match="is a folder"):
        check_writable(tmp_path, option="--junit")
    check_writable(tmp_path / "page.html", option="--html")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_is_refused_beforehand(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="no permission"):
        check_writable(tmp_path / "page.html", option="--html")


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write_whole(tmp_path / "taken", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_file_with_calls_that_never_connected_comes_back(tmp_path: Path) -> None:
    run = replace(record(1, 0), calls=())
    write_record(tmp_path / "empty.json.gz", run)
    assert read_record(tmp_path / "empty.json.gz") == run
