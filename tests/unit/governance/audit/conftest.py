"""A log with several files and a checkpoint."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from voicectl.governance.audit.checkpoint import Checkpoint, new_checkpoint
from voicectl.governance.audit.log import AuditLog


@pytest.fixture
def audit(tmp_path: Path) -> AuditLog:
    """Return a log of six entries in three files."""
    log = AuditLog(tmp_path / "audit", max_segment_bytes=450, now=lambda: 1_700_000_000.25)
    for number in range(5):
        log.append("redaction_applied", {"call_id": f"sess_{number}", "counts": {"card": number}})
    return log


@pytest.fixture
def checkpoint(audit: AuditLog) -> Checkpoint:
    """Return the checkpoint of the log as it is."""
    head = audit.head()
    assert head is not None
    return new_checkpoint(head.log, head.sequence, head.digest, 1_700_000_001.0, Ed25519PrivateKey.generate())
