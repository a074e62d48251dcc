"""A signed statement as a DSSE envelope: make it, and tell whether every byte of it is as its signer made it."""

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError
from securesystemslib.signer import Signature  # type: ignore[attr-defined] # it is its public name

from voicectl.core.disk import open_regular
from voicectl.core.errors import ConfigError, UsageError
from voicectl.governance.policy.errors import SignOffMissing
from voicectl.governance.policy.persons import in_a_line, same_person
from voicectl.governance.signoff import sshsig
from voicectl.governance.signoff.reviewers import Reviewer, Reviewers, key_id
from voicectl.governance.signoff.statement import PAYLOAD_TYPE, Bindings, Signed, payload_of, read_payload

MAX_BYTES: Final = 65_536
_ED25519: Final = "ssh-ed25519 "
_ED25519_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class SignOff:
    """A sign-off whose signature is right. `reviewer` is whose key it is, by the file of reviewers."""

    signed: Signed
    bindings: Bindings
    reviewer: Reviewer
    digest: str


def seal(signed: Signed, bindings: Bindings, key: Path) -> bytes:
    """Return the envelope of a statement, signed with a private key file or what the ssh agent holds of it.

    Raises UsageError when the key cannot be used.
    """
    envelope = Envelope(payload_of(signed, bindings), PAYLOAD_TYPE, {})
    private, public = _keys(key)
    content = envelope.pae()
    signature = sshsig.sign(content, key) if private is None else private.sign(content)
    envelope.signatures[public] = Signature(fingerprint(public), signature.hex())
    return _bytes(envelope)


def listed_signer(reviewers: Reviewers, name: str, role: str, key: Path) -> Reviewer:
    """Return the reviewer of this name, role and key. Raises SignOffMissing, and UsageError for an unusable key."""
    hint = "the reviewers, their roles and keys stand in the file of reviewers"
    found = next((one for one in reviewers.by_key.values() if same_person(one.name, name)), None)
    if found is None:
        raise SignOffMissing(f"{in_a_line(name)}: nobody of this name in {reviewers.path}", hint=hint)
    if role not in found.roles:
        raise SignOffMissing(f"{found.name} does not have the role {in_a_line(role)}", hint=hint)
    if reviewers.by_key.get(_keys(key)[1]) is not found:
        raise SignOffMissing(f"{key}: is not the key of {found.name} in {reviewers.path}", hint=hint)
    return found


def open_sealed(content: bytes, reviewers: Reviewers, name: str) -> SignOff:
    """Return what an envelope says, once its signature is known to be of one of the reviewers.

    `name` is the file that errors name. Raises SignOffMissing.
    """
    try:
        envelope = _envelope(content)
        (signature,) = envelope.signatures.values()
        signed, bindings = read_payload(envelope.payload)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, FormatError, RecursionError) as error:
        raise SignOffMissing(
            f"{name}: this is no sign-off: {error}", hint="sign again with `voicectl gate sign`"
        ) from error
    known = {fingerprint(key): key for key in reviewers.by_key}
    if signature.keyid not in known:
        raise SignOffMissing(
            f"{name}: signed with a key of nobody in {reviewers.path}",
            hint="a sign-off counts only with the key of a listed reviewer",
        )
    public = known[signature.keyid]
    if not _is_signed(envelope.pae(), bytes.fromhex(signature.signature), public):
        raise SignOffMissing(f"{name}: was altered after it was signed", hint="sign again with `voicectl gate sign`")
    return SignOff(signed, bindings, reviewers.by_key[public], hashlib.sha256(content).hexdigest())


def fingerprint(public_key: str) -> str:
    """Return the sha256 of a public key, hexadecimal: the key id in the envelope."""
    return hashlib.sha256(base64.b64decode(public_key.split(" ")[1])).hexdigest()


def _bytes(envelope: Envelope) -> bytes:
    return json.dumps(envelope.to_dict(), sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _envelope(content: bytes) -> Envelope:
    if len(content) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    document: Any = json.loads(content)
    envelope = Envelope.from_dict(document)
    # JSON and base64 have many texts for one meaning: only the one that was written counts.
    if _bytes(envelope) != content:
        raise ValueError("not in its canonical form")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise ValueError("its payload is of another type")
    return envelope


def _is_signed(content: bytes, signature: bytes, public_key: str) -> bool:
    if not public_key.startswith(_ED25519) or len(signature) != _ED25519_BYTES:
        return sshsig.is_signed(content, signature, public_key)
    key = serialization.load_ssh_public_key(public_key.encode())
    assert isinstance(key, Ed25519PublicKey)
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _keys(path: Path) -> tuple[Ed25519PrivateKey | None, str]:
    """Return the private key if it can be used here and now, else None and leave it to ssh; and the public key."""
    try:
        with open_regular(path) as file:
            content, mode = file.read(MAX_BYTES), os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise UsageError(
            f"{path}: the key cannot be read: {error.strerror}", hint="name a key file with --key"
        ) from error
    if b"PRIVATE KEY-----" in content and mode & 0o077:
        raise ConfigError(f"{path}: others can read this key", hint=f"chmod 600 {path}")
    private = _private(content)
    if private is not None:
        public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        return private, key_id(public.decode())
    half = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    try:
        return None, key_id(half.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{path}: neither a plain Ed25519 key nor beside its public half {half.name}",
            hint="make one with `ssh-keygen -t ed25519 -f KEY`",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"{half}: this public key cannot be used: {error}", hint="make one with `ssh-keygen -t ed25519 -f KEY`"
        ) from error


def _private(content: bytes) -> Ed25519PrivateKey | None:
    for load in (serialization.load_pem_private_key, serialization.load_ssh_private_key):
        try:
            key = load(content, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            continue
        return key if isinstance(key, Ed25519PrivateKey) else None
    return None
