"""A checkpoint is what its key signed, or it is refused."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from voicectl.core.errors import ConfigError
from voicectl.governance.audit.checkpoint import new_checkpoint, read_checkpoint, signed
from voicectl.governance.audit.keys import create_key, fingerprint, private_key, public_key, public_path
from voicectl.governance.audit.log import AuditChainBroken, AuditLog
from voicectl.governance.audit.trail import AuditThread
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
