"""No byte of a log can be changed, removed, moved or added without its verification telling where."""

import random
import shutil
from pathlib import Path

import pytest

from voicectl.core.errors import ConfigError
from voicectl.governance.audit.checkpoint import Checkpoint
from voicectl.governance.audit.log import AuditLog
from voicectl.governance.audit.segments import segments
from voicectl.governance.audit.verify import entries, verify

MUTATIONS = 2000


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_a_log_that_was_not_touched_is_intact(audit: AuditLog, checkpoint: Checkpoint) -> None:
    found = verify(audit.folder, checkpoint)
    assert (found.intact, found.num_files, found.num_entries, found.proven) == (True, 3, 6, 5)


def test_every_changed_byte_is_found(audit: AuditLog, checkpoint: Checkpoint) -> None:
    rng = random.Random(1)
    paths = segments(audit.folder)
    contents = {path: path.read_bytes() for path in paths}
    missed = []
    for _ in range(MUTATIONS):
        path = rng.choice(paths)
        changed = bytearray(contents[path])
        at = rng.randrange(len(changed))
        changed[at] ^= rng.randrange(1, 256)
        path.write_bytes(changed)
        if verify(audit.folder, checkpoint).intact:
            missed.append((path.name, at))
        path.write_bytes(contents[path])
    assert missed == []


def test_every_removed_inserted_or_doubled_byte_is_found(audit: AuditLog, checkpoint: Checkpoint) -> None:
    rng = random.Random(2)
    path = segments(audit.folder)[1]
    content = path.read_bytes()
    for at in rng.sample(range(len(content)), 60):
        for changed in (
            content[:at] + content[at + 1 :],
            content[: at + 1] + content[at:],
            content[:at] + b" " + content[at:],
            content[:at] + b"\n" + content[at:],
        ):
            path.write_bytes(changed)
            assert changed == content or not verify(audit.folder, checkpoint).intact


def test_the_first_broken_place_is_named(audit: AuditLog, checkpoint: Checkpoint) -> None:
    path = segments(audit.folder)[1]
    kept = lines(path)
    path.write_bytes(b"".join((kept[0], kept[1].replace(b"sess_", b"sess-"), *kept[2:])))
    found = verify(audit.folder, checkpoint).first_break
    assert found is not None
    assert (found.file, found.line, found.what) == ("audit-000002.jsonl", 2, "its text does not have its hash")


@pytest.mark.parametrize("what", ["removed", "moved", "doubled", "cut", "emptied"])
def test_lines_that_were_removed_moved_doubled_or_cut_off_are_found(
    audit: AuditLog, checkpoint: Checkpoint, what: str
) -> None:
    for path in segments(audit.folder):
        kept = lines(path)
        changed = {
            "removed": kept[1:],
            "moved": [kept[1], kept[0], *kept[2:]],
            "doubled": [kept[0], *kept],
            "cut": kept[:-1],
            "emptied": [],
        }[what]
        path.write_bytes(b"".join(changed))
        assert not verify(audit.folder, checkpoint).intact
        path.write_bytes(b"".join(kept))


def test_files_that_are_missing_swapped_or_added_are_found(audit: AuditLog, checkpoint: Checkpoint) -> None:
    paths = segments(audit.folder)
    aside = audit.folder / "aside"
    for path in paths:
        path.rename(aside)
        assert not verify(audit.folder, checkpoint).intact
        aside.rename(path)
    paths[0].rename(aside)
    paths[1].rename(paths[0])
    aside.rename(paths[1])
    assert not verify(audit.folder, checkpoint).intact
    paths[0].rename(aside)
    paths[1].rename(paths[0])
    aside.rename(paths[1])
    shutil.copy(paths[2], audit.folder / "audit-000004.jsonl")
    assert not verify(audit.folder, checkpoint).intact


def test_a_log_made_anew_is_not_the_one_that_was_signed(
    audit: AuditLog, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    other = AuditLog(tmp_path / "other")
    for number in range(8):
        other.append("redaction_applied", {"call_id": f"sess_{number}", "counts": {}})
    assert verify(other.folder).intact
    assert not verify(other.folder, checkpoint).intact


def test_a_log_that_is_gone_is_broken_with_a_checkpoint_and_unknown_without(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    assert not verify(tmp_path / "nowhere", checkpoint).intact
    with pytest.raises(ConfigError, match="no audit log"):
        verify(tmp_path / "nowhere")


def test_entries_behind_the_checkpoint_are_checked_link_by_link(audit: AuditLog, checkpoint: Checkpoint) -> None:
    audit.append("tier_changed", {"use_case": "faq", "previous": "low", "tier": "medium", "by": "gate", "reason": "ok"})
    found = verify(audit.folder, checkpoint)
    assert (found.intact, found.num_entries, found.proven) == (True, 7, 5)
    assert [entry.kind for entry in entries(audit.folder)][-1] == "tier_changed"


def test_entries_that_are_older_than_one_before_are_counted_and_break_nothing(tmp_path: Path) -> None:
    times = iter([1000.0, 1000.0, 980.0, 2000.0, 1500.0, 1990.0])
    log = AuditLog(tmp_path, now=lambda: next(times))
    for _ in range(5):
        log.append("redaction_applied", {"call_id": "a", "counts": {}})
    found = verify(tmp_path)
    assert (found.intact, found.newest_at, found.num_backward) == (True, 2000.0, 1)
