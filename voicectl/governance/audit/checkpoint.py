"""Signed checkpoints: how far an audit log had come, and with which entry. Knows no files of the log."""

import base64
import binascii
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from voicectl.core.errors import ConfigError
from voicectl.governance.audit.keys import fingerprint, is_signed
from voicectl.governance.audit.log import AuditChainBroken

CHECKPOINT_FILE: Final = "checkpoint.json"
MAX_BYTES: Final = 10_000
_PURPOSE: Final = b"voicectl audit checkpoint 1\n"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log `log` had, at `at`, the entry `sequence` with the digest `digest`. `key` names who signs."""

    log: str
    sequence: int
    digest: str
    at: float
    key: str


def signed(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> bytes:
    """Return the file of a checkpoint: one line of canonical JSON."""
    facts = asdict(checkpoint)
    signature = base64.b64encode(key.sign(_PURPOSE + rfc8785.dumps(facts))).decode("ascii")
    return rfc8785.dumps({"checkpoint": facts, "signature": signature}) + b"\n"


def new_checkpoint(log: str, sequence: int, digest: str, at: float, key: Ed25519PrivateKey) -> Checkpoint:
    """Return the checkpoint that `key` is to sign."""
    return Checkpoint(log, sequence, digest, at, fingerprint(key.public_key()))


def read_checkpoint(path: Path, key: Ed25519PublicKey) -> Checkpoint:
    """Return a checkpoint whose signature is right, whose every byte is as it was written.

    Raises ConfigError when there is none, AuditChainBroken when it is another than was signed.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES)
    except OSError as error:
        raise ConfigError(
            f"{path}: no checkpoint can be read: {error.strerror}",
            hint="make one with `voicectl audit checkpoint`, or name it: --checkpoint FILE",
        ) from error
    checkpoint = _parsed(content, key)
    if checkpoint is None:
        raise AuditChainBroken(
            f"{path}: this checkpoint is not what the key {fingerprint(key)[:16]} signed",
            hint="take a copy that was kept elsewhere, and the public key that was exported with it",
        )
    return checkpoint


def _parsed(content: bytes, key: Ed25519PublicKey) -> Checkpoint | None:
    try:
        document: Any = msgspec.json.decode(content)
        facts, signature = document["checkpoint"], document["signature"]
        whole = rfc8785.dumps({"checkpoint": facts, "signature": signature}) + b"\n" == content
        if not whole or not is_signed(key, base64.b64decode(signature, validate=True), _PURPOSE + rfc8785.dumps(facts)):
            return None
        checkpoint = Checkpoint(**facts)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError, binascii.Error):
        return None
    except rfc8785.CanonicalizationError:
        return None
    # base64 has spare bits: two texts may stand for one signature.
    fits = base64.b64encode(base64.b64decode(signature)).decode("ascii") == signature
    number = type(checkpoint.sequence) is int and math.isfinite(checkpoint.at)
    return checkpoint if fits and number and _DIGEST.fullmatch(checkpoint.digest) else None
