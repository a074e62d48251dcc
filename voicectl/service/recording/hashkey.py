"""The key under which callers are hashed: reads it, and makes one where there is none."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from voicectl.core.errors import ConfigError
from voicectl.core.paths import store_path

DEFAULT_FILE: Final = "records/caller-hash.key"
LEAST_BYTES: Final = 32
MAX_BYTES: Final = 4096


def caller_hash_key(named: str | None) -> bytes:
    """Return the key in the file `named`; without a name, that of this host, made when it is first asked for.

    Raises ConfigError. A named file is never made: several gateways must have the same.
    """
    path = Path(named) if named is not None else store_path() / DEFAULT_FILE
    try:
        if named is None and not path.exists():
            _make(path)
        with path.open("rb") as file:
            key = file.read(MAX_BYTES + 1).strip()
    except OSError as error:
        raise ConfigError(
            f"{path}, the key of caller hashes: {error.strerror}",
            hint="make one with: head -c 32 /dev/urandom | base64 > FILE, or remove governance.hash_key_file",
        ) from error
    if not LEAST_BYTES <= len(key) <= MAX_BYTES:
        raise ConfigError(f"{path}, the key of caller hashes: {len(key)} bytes, not {LEAST_BYTES} to {MAX_BYTES}")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(secrets.token_hex(LEAST_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            # Of two gateways that start at once one makes it, and both have that one.
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
