"""A checkpoint is what its key signed, or it is refused."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from voicectl.core.errors import ConfigError
from voicectl.governance.audit.checkpoint import new_checkpoint, read_checkpoint, signed
from voicectl.governance.audit.keys import create_key, fingerprint, private_key, public_key, public_path
from voicectl.governance.audit.log import AuditChainBroken, AuditLog
from voicectl.governance.audit.segments import segments
from voicectl.governance.audit.trail import CHECKPOINT_ENTRIES, AuditThread, begin_log, sign_checkpoint
from voicectl.governance.audit.verify import entries, verify

KEY = Ed25519PrivateKey.generate()
CHECKPOINT = new_checkpoint("ab", 7, "0" * 64, 1_700_000_000.5, KEY)


def test_a_checkpoint_comes_back_as_it_was_signed(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(signed(CHECKPOINT, KEY))
    assert read_checkpoint(tmp_path / "c", KEY.public_key()) == CHECKPOINT


def test_every_changed_byte_of_a_checkpoint_is_found(tmp_path: Path) -> None:
    content = signed(CHECKPOINT, KEY)
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        (tmp_path / "c").write_bytes(changed)
        with pytest.raises(AuditChainBroken):
            read_checkpoint(tmp_path / "c", KEY.public_key())


def test_a_checkpoint_of_another_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(signed(CHECKPOINT, KEY))
    with pytest.raises(AuditChainBroken):
        read_checkpoint(tmp_path / "c", Ed25519PrivateKey.generate().public_key())


def test_a_key_is_private_and_its_public_half_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    key = create_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert fingerprint(public_key(public_path(path))) == fingerprint(key.public_key())
    with pytest.raises(ConfigError, match="already"):
        create_key(path)


def test_keys_that_are_missing_open_or_no_keys_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    with pytest.raises(ConfigError, match="no such key"):
        private_key(path)
    path.write_text("no key")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="no private key"):
        private_key(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others can read"):
        private_key(path)
    with pytest.raises(ConfigError, match="no public key"):
        public_key(path)


def test_what_was_noted_is_written_and_signed_when_the_thread_ends(tmp_path: Path) -> None:
    audit = AuditThread(AuditLog(tmp_path / "audit"), tmp_path / "audit.key")
    audit.note("redaction_applied", {"call_id": "a", "counts": {}})
    audit.start()
    audit.note("no such kind", {})
    audit.note("redaction_applied", {"call_id": "b", "counts": {}})
    audit.close()
    assert [entry.body.get("call_id") for entry in entries(audit.folder)] == [None, "a", "b"]
    checkpoint = read_checkpoint(audit.folder / "checkpoint.json", public_key(tmp_path / "audit.pub"))
    assert verify(audit.folder, checkpoint).proven == 2
    assert (audit.health().num_written, audit.health().num_failed) == (2, 1)
    assert audit.health().failed_at is not None


def cut_the_last_entry(folder: Path) -> None:
    path = segments(folder)[-1]
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def test_a_log_that_was_cut_behind_its_checkpoint_is_not_signed_again(tmp_path: Path) -> None:
    log, key = AuditLog(tmp_path / "audit"), tmp_path / "audit.key"
    for number in range(4):
        log.append("redaction_applied", {"call_id": f"sess_{number}", "counts": {}})
    before = sign_checkpoint(log, key)
    cut_the_last_entry(log.folder)
    log = AuditLog(log.folder)
    for number in range(3):
        with pytest.raises(AuditChainBroken, match="has no entry 4") as broken:
            sign_checkpoint(log, key)
        assert broken.value.exit_code == 25
        log.append("redaction_applied", {"call_id": f"other_{number}", "counts": {}})
    assert (log.folder / "checkpoint.json").read_bytes() == before


def test_a_log_is_signed_again_however_far_it_went_on(audit: AuditLog, tmp_path: Path) -> None:
    key = tmp_path / "audit.key"
    for number in range(3):
        sign_checkpoint(audit, key)
        for _ in range(number * 5):
            audit.append("redaction_applied", {"call_id": "x" * 100, "counts": {}})
    checkpoint = read_checkpoint(audit.folder / "checkpoint.json", public_key(public_path(key)))
    assert verify(audit.folder, checkpoint).proven == checkpoint.sequence == 10


@pytest.mark.parametrize("gone", [1, 3])
def test_a_log_without_the_files_before_its_end_is_not_signed_again(audit: AuditLog, tmp_path: Path, gone: int) -> None:
    sign_checkpoint(audit, tmp_path / "audit.key")
    paths = segments(audit.folder)
    for path in paths[-gone:]:
        path.unlink()
    with pytest.raises(AuditChainBroken):
        sign_checkpoint(audit, tmp_path / "audit.key")


def test_the_service_tells_of_a_log_that_was_cut_and_signs_nothing(tmp_path: Path) -> None:
    log, key = AuditLog(tmp_path / "audit"), tmp_path / "audit.key"
    log.append("redaction_applied", {"call_id": "a", "counts": {}})
    before = sign_checkpoint(log, key)
    cut_the_last_entry(log.folder)
    audit = AuditThread(AuditLog(log.folder), key)
    audit.start()
    for _ in range(CHECKPOINT_ENTRIES + 5):
        audit.note("redaction_applied", {"call_id": "b", "counts": {}})
    audit.close()
    health = audit.health()
    assert (health.num_written, health.num_failed) == (CHECKPOINT_ENTRIES + 5, 3), (
        "at the start, on the way, at the end"
    )
    assert "has no entry 1" in str(health.last_error)
    assert (log.folder / "checkpoint.json").read_bytes() == before


def test_no_key_is_made_while_there_is_nothing_to_sign(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no audit log"):
        sign_checkpoint(AuditLog(tmp_path / "audit"), tmp_path / "audit.key")
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_is_begun_on_purpose_says_why(tmp_path: Path) -> None:
    log, key = AuditLog(tmp_path / "audit"), tmp_path / "audit/audit.key"
    assert begin_log(log, key, "a new disk")
    found = verify(log.folder)
    assert found.first is not None and found.first.body["details"] == {"reason": "a new disk"}
    with pytest.raises(ConfigError, match="a key already"):
        begin_log(log, key, "again")
    sign_checkpoint(log, key)
    segments(log.folder)[0].unlink()
    with pytest.raises(AuditChainBroken, match="is gone"):
        begin_log(AuditLog(log.folder), key, "again")
    (log.folder / "checkpoint.json").unlink()
    assert begin_log(AuditLog(log.folder), key, "again"), "with the key that is there"
