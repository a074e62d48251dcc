"""What becomes of what is found, and of named fields: dropped, masked, or replaced by a keyed hash."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from voicectl.core.errors import ConfigError

Action = Literal["drop", "mask", "hash", "keep"]

KINDS: Final = ("card", "code", "ssn", "email", "phone", "birth")
MARKERS: Final[Mapping[str, str]] = {
    "card": "card number",
    "code": "card code",
    "ssn": "ssn",
    "email": "email",
    "phone": "phone",
    "birth": "date of birth",
    "digits": "digits",
}
KEY_BYTES: Final = 32
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do, by kind of thing found in texts, by name of a field, and by tag of a value.

    `key` makes hashes that only this appliance can compare. `region` is where phone numbers without a country
    code are at home (ISO 3166).
    """

    kinds: Mapping[str, Action] = field(default_factory=dict)
    fields: Mapping[str, Action] = field(default_factory=dict)
    tags: Mapping[str, Action] = field(default_factory=dict)
    key: bytes | None = field(default=None, repr=False)
    region: str = "US"

    def __post_init__(self) -> None:
        wanted = {**self.kinds, **self.fields, **self.tags}
        if self.key is None and "hash" in wanted.values():
            raise ConfigError(
                "redaction: something is to be hashed, and there is no key", hint="name a file: redaction.hash_key_file"
            )
        for kind in ("card", "code"):
            if self.kinds.get(kind) == "keep":
                raise ConfigError(f"redaction.kinds.{kind}: what is on a card is never kept", hint="use drop or mask")
        if self.kinds.get("code") == "hash":
            raise ConfigError("redaction.kinds.code: a code of three digits has no safe hash", hint="use drop or mask")

    def marker(self, kind: str, found: str) -> str:
        """Return what stands in a text for something found in it."""
        action = self.kinds.get(kind, "mask")
        if action == "drop":
            return ""
        if action == "hash" and kind != "digits":
            return f"[{MARKERS[kind]} {self.hashed(found)}]"
        return f"[{MARKERS[kind]}]"

    def hashed(self, value: Any) -> str:
        """Return a short keyed hash: equal values have equal ones, and without the key nobody can try values."""
        assert self.key is not None
        return hmac.new(self.key, str(value).encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


def read_key(path: Path) -> bytes:
    """Return the key of keyed hashes; a file that does not exist is made, readable by its owner alone.

    Raises ConfigError.
    """
    try:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return _new_key(path)
        with os.fdopen(fd, "rb") as file:
            if os.fstat(fd).st_mode & 0o077:
                raise ConfigError(f"{path}: others can read this key", hint=f"chmod 600 {path}")
            key = bytes.fromhex(file.read(4 * KEY_BYTES).decode("ascii").strip())
    except OSError as error:
        raise ConfigError(f"{path}: the key cannot be read: {error.strerror}", hint=f"ls -l {path}") from error
    except ValueError as error:
        raise ConfigError(
            f"{path}: this is no key of hexadecimal digits", hint="remove it; a new one is made"
        ) from error
    if len(key) < KEY_BYTES:
        raise ConfigError(f"{path}: {len(key)} bytes, a key has {KEY_BYTES}", hint="remove it; a new one is made")
    return key


def _new_key(path: Path) -> bytes:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = secrets.token_bytes(KEY_BYTES)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, _OWNER_ONLY)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(fd)
    return key
