"""The Ed25519 key that signs checkpoints of the audit log, and its public half. Knows no log."""

import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from voicectl.core.disk import sync_folder
from voicectl.core.errors import ConfigError
from voicectl.core.paths import store_path
from voicectl.governance.audit.segments import OWNER_ONLY, leave_to_owner, make_folder

PRIVATE_NAME: Final = "audit.key"
PUBLIC_NAME: Final = "audit.pub"
MAX_KEY_BYTES: Final = 10_000


def key_path() -> Path:
    """Return where this host's private key is: with the log, where the service may write."""
    return store_path() / "audit" / PRIVATE_NAME


def public_path(private: Path) -> Path:
    """Return where the public half of a key lies."""
    return private.with_name(PUBLIC_NAME) if private.name == PRIVATE_NAME else private.with_name(private.name + ".pub")


def create_key(path: Path) -> Ed25519PrivateKey:
    """Make a key that only its owner can read, and its public half beside it. Raises ConfigError if one is there."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        make_folder(path.parent)
        _write_new(path, pem, OWNER_ONLY)
        public_path(path).unlink(missing_ok=True)
        _write_new(public_path(path), public_pem(key.public_key()), 0o644)
        sync_folder(path.parent)
    except FileExistsError as error:
        raise ConfigError(
            f"{path}: there is a key already", hint="checkpoints signed with it need it: keep it"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path}: the key cannot be written: {error.strerror}", hint=f"ls -ld {path.parent}"
        ) from error
    return key


def private_key(path: Path, *, create: bool = False) -> Ed25519PrivateKey:
    """Return the key of a file; with `create` one that does not exist is made. Raises ConfigError."""
    try:
        if create and not path.exists():
            return create_key(path)
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path}: others can read this key", hint=f"chmod 600 {path}")
        key = serialization.load_pem_private_key(_read(path), None)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such key", hint="make one with `voicectl audit init`") from error
    except OSError as error:
        raise ConfigError(f"{path}: the key cannot be read: {error.strerror}", hint=f"ls -l {path}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: this is no private key without a passphrase, in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: this is no Ed25519 key")
    return key


def public_key(path: Path) -> Ed25519PublicKey:
    """Return the public key of a PEM file. Raises ConfigError."""
    try:
        key = serialization.load_pem_public_key(_read(path))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such public key", hint="name it: --public-key FILE") from error
    except OSError as error:
        raise ConfigError(f"{path}: the public key cannot be read: {error.strerror}", hint=f"ls -l {path}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: this is no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{path}: this is no Ed25519 key")
    return key


def public_pem(key: Ed25519PublicKey) -> bytes:
    """Return a public key as PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the sha256 of a public key's 32 bytes: its name."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()


def is_signed(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    """Whether the key signed the content."""
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_KEY_BYTES)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, "wb") as file:
        leave_to_owner(fd, path.parent)
        file.write(content)
        file.flush()
        os.fsync(fd)
