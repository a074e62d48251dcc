"""What is in a release: every file with its size, mode and digest, or where a link leads. Compares two such lists."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from .faults import Damaged, Refused
from .layout import WRITABLE_BY_OTHERS

LEFT_OUT: Final = frozenset({"system"})
"""Folders of a release that belong to the host's configuration; they are watched as such."""
_PYTHON: Final = re.compile(r"/usr/bin/python3(\.\d+)?")
_SHARED: Final = re.compile(
    r"/var/lib/voicectl/(checkpoints|webhooks|records|audit|redaction|gate"
    r"|blobs/sha256/(?P<head>[0-9a-f]{2})/(?P=head)[0-9a-f]{62})"
)
"""Where a release may lead to: weights by their digest, and what calls leave behind."""
_SETUID: Final = stat.S_ISUID | stat.S_ISGID


@dataclass(frozen=True, slots=True)
class Item:
    """One name in a release. Of a link only `link` is known; `sha256` is None where it was not computed."""

    size: int = 0
    mode: int = 0
    sha256: str | None = None
    link: str | None = None


Inventory = Mapping[str, Item]


def take_inventory(folder: Path, *, deep: bool) -> dict[str, Item]:
    """Return everything below a folder by its relative path. With `deep` every byte is read."""
    found: dict[str, Item] = {}
    for path, status in _walk(folder):
        name = path.relative_to(folder).as_posix()
        if stat.S_ISLNK(status.st_mode):
            found[name] = Item(link=str(path.readlink()))
        else:
            digest = file_digest(path) if deep and stat.S_ISREG(status.st_mode) else None
            found[name] = Item(size=status.st_size, mode=stat.S_IMODE(status.st_mode), sha256=digest)
    return found


def refuse_unsafe(folder: Path) -> None:
    """Raise Refused when a release holds what none may hold.

    That is: files of others or that others may change, setuid files, devices and pipes, links that lead out.
    """
    for path, status in _walk(folder):
        mode = status.st_mode
        if status.st_uid not in (0, os.geteuid()):
            raise Refused(f"{path} belongs to user {status.st_uid}", hint=_REMOVE)
        if stat.S_ISLNK(mode):
            _refuse_link(folder, path)
        elif not stat.S_ISREG(mode):
            raise Refused(f"{path} is neither file nor folder", hint=_REMOVE)
        elif mode & (WRITABLE_BY_OTHERS | _SETUID):
            raise Refused(f"{path} has the mode {stat.S_IMODE(mode):04o}", hint=_REMOVE)


_REMOVE: Final = "remove the folder of this release and run the installation again"


def compare(wanted: Inventory, found: Inventory) -> list[str]:
    """Return how a release differs from its list, one line a difference. Digests count where both are known."""
    differences = [f"{name}: missing" for name in sorted(wanted.keys() - found.keys())]
    differences += [f"{name}: not part of the release" for name in sorted(found.keys() - wanted.keys())]
    for name in sorted(wanted.keys() & found.keys()):
        if problem := _difference(wanted[name], found[name]):
            differences.append(f"{name}: {problem}")
    return differences


def encode(inventory: Inventory) -> bytes:
    """Return the text of a list."""
    rows = [[name, item.size, item.mode, item.sha256, item.link] for name, item in sorted(inventory.items())]
    return (json.dumps(rows, separators=(",", ":")) + "\n").encode()


def decode(content: bytes, sha256: str, path: Path) -> dict[str, Item]:
    """Return the list of a text whose digest is known. Raises Damaged when it is another one."""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Damaged(f"{path}: not the list that was made when the release was staged", hint=_REMOVE)
    return {name: Item(size, mode, digest, link) for name, size, mode, digest, link in json.loads(content)}


def file_digest(path: Path) -> str:
    """Return the sha256 of a file; links are not followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield everything below a folder but the folders themselves."""
    for where, folders, files in os.walk(folder, onerror=_raise):
        here = Path(where)
        if here == folder:
            folders[:] = sorted(set(folders) - LEFT_OUT)
        # A link to a folder is listed as a folder, and is never entered.
        for name in (*files, *(name for name in folders if (here / name).is_symlink())):
            path = here / name
            yield path, path.lstat()


def _raise(error: OSError) -> None:
    raise error


def _refuse_link(folder: Path, path: Path) -> None:
    target = str(path.readlink())
    if target.startswith("/"):
        is_python = _PYTHON.fullmatch(target) and path.parent.name == "bin" and path.name.startswith("python")
        if not (is_python or _SHARED.fullmatch(target)):
            raise Refused(f"{path} leads to {target}", hint=_REMOVE)
        return
    inside = PurePosixPath(os.path.normpath(path.parent.relative_to(folder) / target))
    if inside.parts[:1] == ("..",):
        raise Refused(f"{path} leads out of the release, to {target}", hint=_REMOVE)


def _difference(wanted: Item, found: Item) -> str | None:
    if wanted.link != found.link:
        return f"leads to {found.link}, not to {wanted.link}"
    if wanted.link is not None:
        return None
    if wanted.size != found.size:
        return f"{found.size} bytes, not {wanted.size}"
    if wanted.mode != found.mode:
        return f"mode {found.mode:04o}, not {wanted.mode:04o}"
    if None not in (wanted.sha256, found.sha256) and wanted.sha256 != found.sha256:
        return f"sha256 is {found.sha256}, not {wanted.sha256}"
    return None
