"""The file of the API keys: reads it, replaces it in one step, and keeps two writers apart."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from voicectl.core.disk import sync_folder
from voicectl.core.errors import ConfigError, LockedError
from voicectl.core.paths import config_path
from voicectl.core.sections.access import Access
from voicectl.service.access.keys import ApiKey, KeyDocument

FILE_NAME: Final = "keys.json"
MAX_FILE_BYTES: Final = 10_000_000
LOCK_WAIT_S: Final = 5.0
_LOCK_POLL_S: Final = 0.05
_OWNER_ONLY: Final = 0o600


def key_file(access: Access) -> Path:
    """Return where the keys of a profile are kept."""
    return Path(access.keys_file).expanduser() if access.keys_file is not None else config_path() / FILE_NAME


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Return the keys of a file; one that does not exist holds none. Raises ConfigError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_FILE_BYTES} bytes, this is no file of keys")
        text = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint=f"check its owner: ls -l {path}") from error
    try:
        keys = KeyDocument.model_validate_json(text).keys
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(step) for step in problem["loc"]) or "the document"
        raise ConfigError(
            f"{path}: {place}: {problem['msg']}", hint="restore the file, or delete it and create the keys anew"
        ) from error
    if len({key.id for key in keys}) != len(keys):
        raise ConfigError(f"{path}: two keys have the same id", hint="restore the file from a backup")
    return keys


def change_keys(
    path: Path, change: Callable[[tuple[ApiKey, ...]], tuple[ApiKey, ...]], *, wait_s: float = LOCK_WAIT_S
) -> tuple[ApiKey, ...]:
    """Replace the keys of a file by what `change` makes of them, and return these.

    Readers see the old file or the new one; it belongs to its owner alone (0600). Raises ConfigError, or
    LockedError when another writer does not finish within `wait_s`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(path.with_name(path.name + ".lock"), wait_s):
            changed = change(read_keys(path))
            _replace(path, KeyDocument(keys=changed).model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror}",
            hint="run as the user the gateway runs as, or name another file: --set access.keys_file=PATH",
        ) from error
    return changed


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        owner = path.stat()
    except FileNotFoundError:
        owner = path.parent.stat()
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _OWNER_ONLY)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            os.fchmod(fd, _OWNER_ONLY)
            if os.geteuid() == 0:
                # Root makes keys for a gateway that runs as somebody else: the file stays with its reader.
                os.fchown(fd, owner.st_uid, owner.st_gid)
            file.write(text)
            file.flush()
            os.fsync(fd)
        fresh.replace(path)
        sync_folder(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


@contextmanager
def _exclusive(path: Path, wait_s: float) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, _OWNER_ONLY)
    try:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise LockedError(
                        f"{path}: another command is changing the keys", hint="run the command again when it is done"
                    ) from error
                time.sleep(_LOCK_POLL_S)
        yield
    finally:
        os.close(fd)
