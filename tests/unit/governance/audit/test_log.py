"""A log takes entries from anybody, one behind the other, and survives a crash in the middle of one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from voicectl.core.errors import VoicectlError
from voicectl.governance.audit.entry import parse_line
from voicectl.governance.audit.kinds import KINDS, AuditEntryRefused
from voicectl.governance.audit.log import AuditChainBroken, AuditLog
from voicectl.governance.audit.segments import segments
from voicectl.governance.audit.trail import sign_checkpoint
from voicectl.governance.audit.verify import entries, verify

BODY = {"call_id": "sess_x", "counts": {"card": 1}}


def test_the_first_entry_creates_the_log_and_files_are_private(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit")
    assert log.head() is None
    assert log.append("redaction_applied", BODY).sequence == 1
    assert [entry.kind for entry in entries(log.folder)] == ["log_created", "redaction_applied"]
    assert {path.stat().st_mode & 0o777 for path in log.folder.iterdir()} == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to somebody else")
def test_what_root_writes_belongs_to_the_owner_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.mkdir()
    os.chown(folder, 12_345, 12_345)
    log = AuditLog(folder)
    log.append("redaction_applied", BODY)
    sign_checkpoint(log, folder / "audit.key")
    owners = {path.name: path.stat().st_uid for path in folder.iterdir()}
    assert set(owners.values()) == {12_345}
    assert {"audit.lock", "audit-000001.jsonl", "checkpoint.json", "audit.key", "audit.pub"} == owners.keys()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders to somebody else")
def test_a_folder_that_root_makes_belongs_to_the_owner_of_the_one_around_it(tmp_path: Path) -> None:
    os.chown(tmp_path, 12_345, 12_345)
    AuditLog(tmp_path / "audit").begin("a test")
    assert {path.stat().st_uid for path in (tmp_path / "audit", *(tmp_path / "audit").iterdir())} == {12_345}


def test_the_chain_goes_on_across_files(audit: AuditLog) -> None:
    assert len(segments(audit.folder)) == 3
    assert [entry.sequence for entry in entries(audit.folder)] == list(range(6))


def test_two_writers_take_turns(audit: AuditLog) -> None:
    other = AuditLog(audit.folder, max_segment_bytes=450)
    for number in range(6):
        (audit, other)[number % 2].append("redaction_applied", BODY)
    assert verify(audit.folder).num_entries == 12


def test_processes_write_at_the_same_time(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from voicectl.governance.audit.log import AuditLog\n"
        "log = AuditLog(Path(sys.argv[1]), max_segment_bytes=1200)\n"
        "for n in range(8): log.append('redaction_applied', {'call_id': sys.argv[2], 'counts': {'card': n}})"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [subprocess.Popen([*command, name], env=environment) for name in ("a", "b")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    found = verify(tmp_path)
    assert (found.intact, found.num_entries) == (True, 17)


@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_an_entry_that_a_crash_left_unfinished_is_repaired_in_the_open(audit: AuditLog, keep: int) -> None:
    path = segments(audit.folder)[-1]
    whole = path.read_bytes()
    line = whole.splitlines(keepends=True)[-1]
    torn = line[:keep]
    path.write_bytes(whole + torn)
    assert verify(audit.folder).intact is (torn == b"")
    entry = AuditLog(audit.folder, max_segment_bytes=450).append("redaction_applied", BODY)
    found = verify(audit.folder)
    assert (found.intact, found.repairs) == (True, int(torn != b""))
    assert entry.sequence == 6 + found.repairs


def test_a_torn_entry_at_the_beginning_of_a_file_is_repaired(audit: AuditLog) -> None:
    path = segments(audit.folder)[-1]
    (path.parent / "audit-000004.jsonl").write_bytes(b'{"at":17')
    assert not verify(audit.folder).intact
    AuditLog(audit.folder).append("redaction_applied", BODY)
    assert (verify(audit.folder).intact, verify(audit.folder).repairs) == (True, 1)


def test_a_log_whose_first_entry_was_torn_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "audit-000001.jsonl").write_bytes(b'{"at":17')
    AuditLog(tmp_path).append("redaction_applied", BODY)
    assert verify(tmp_path).num_entries == 2


def test_nothing_is_appended_to_a_log_whose_end_was_changed(audit: AuditLog) -> None:
    path = segments(audit.folder)[-1]
    path.write_bytes(path.read_bytes().replace(b"sess_4", b"sess_9"))
    with pytest.raises(AuditChainBroken, match="does not have its hash") as error:
        AuditLog(audit.folder).append("redaction_applied", BODY)
    assert error.value.exit_code == 25


def test_who_wrote_to_a_log_notices_that_it_was_cut_or_removed_until_another_one_is_begun(audit: AuditLog) -> None:
    path = segments(audit.folder)[-1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    if not path.stat().st_size:
        path.unlink()
    with pytest.raises(AuditChainBroken, match="and entry 5 was written"):
        audit.append("redaction_applied", BODY)
    for left in segments(audit.folder):
        left.unlink()
    with pytest.raises(AuditChainBroken, match="is gone"):
        audit.append("redaction_applied", BODY)
    AuditLog(audit.folder).begin("a test")
    assert audit.append("redaction_applied", BODY).sequence == 1
    assert verify(audit.folder).intact


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("call_made", {}),
        ("redaction_applied", {"call_id": "x"}),
        ("redaction_applied", {**BODY, "text": "secret"}),
        ("redaction_applied", {**BODY, "call_id": 3}),
        ("disclosure_made", {"call_id": "x", "after_s": float("nan")}),
        ("redaction_applied", {"call_id": "x" * 70_000, "counts": {}}),
        ("redaction_applied", {"call_id": "\ud800", "counts": {}}),
    ],
)
def test_a_body_that_is_not_of_its_kind_is_refused_and_leaves_no_trace(
    audit: AuditLog, kind: str, body: dict[str, object]
) -> None:
    with pytest.raises(AuditEntryRefused):
        audit.append(kind, body)
    assert verify(audit.folder).num_entries == 6


def test_a_full_or_forbidden_disk_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file where the folder belongs")
    with pytest.raises(VoicectlError, match="cannot be written"):
        AuditLog(tmp_path / "audit").append("redaction_applied", BODY)


def test_lines_are_canonical_json_with_sorted_keys(audit: AuditLog) -> None:
    line = segments(audit.folder)[0].read_bytes().splitlines()[1]
    assert line.startswith(b'{"at":1700000000.25,"body":{"call_id":"sess_0","counts":{"card":0}},"hash":"')
    assert parse_line(line).kind == "redaction_applied"


def test_every_kind_that_governance_needs_is_known() -> None:
    assert {
        *("consent_checked", "disclosure_made", "redaction_applied", "transfer_attempted", "configuration_changed"),
        *("model_changed", "gate_decided", "signoff_recorded", "tier_changed"),
    } <= set(KINDS)
