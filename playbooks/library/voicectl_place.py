#!/usr/bin/python
"""Put files of a bundle on this host, each checked by its digest. Knows no bundle, only paths and digests."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: voicectl_place
short_description: Place files of a bundle, verified by digest
description:
  - Compares files on the host with their digests, and sends those that are missing or wrong in one archive.
  - A file that another folder already has with the same digest is linked instead of sent.
  - A file appears under its name only after its digest was found right and its bytes were written to the disk.
  - The part that runs on the controller is the action plugin of the same name.
options:
  bundle:
    description: Folder on the controller that holds the extracted and verified bundle.
    type: path
    required: true
  include:
    description: Files of the bundle to place, and folders (with a slash at the end) of which all files are placed.
    type: list
    elements: str
    required: true
  into:
    description: Folder on the host below which the files lie under the paths that they have in the bundle.
    type: path
    required: true
  mode:
    description: Permissions of the files.
    type: str
    default: "0644"
  reuse:
    description: Pattern of folders on the host that may hold some of the files already.
    type: str
    default: ""
  exact:
    description: Whether files in the named folders that the bundle does not have are removed.
    type: bool
    default: false
  links:
    description: Links to make, path to target; a folder is made where it is missing.
    type: dict
    default: {}
  models:
    description: Folder on the host in which a folder of links is made for each model that the bundle holds whole.
    type: path
  store:
    description: Folder on the host with the weights that those links lead to; C(into) unless given.
    type: path
author:
  - voicectl
"""

EXAMPLES = r"""
- name: Copy the weights
  voicectl_place:
    bundle: /var/cache/voicectl/bundles/1.0.0-0123456789ab
    include: [blobs/]
    into: /var/lib/voicectl
    mode: "0444"
"""

RETURN = r"""
placed:
  description: Files that were written, or would be in check mode.
  returned: always
  type: list
sent_bytes:
  description: Size of the archive that was sent.
  returned: always
  type: int
"""

CHUNK_BYTES = 1 << 20
HASH_THREADS = 4
PARTIAL = ".partial"


def digest_of(stream: IO[bytes]) -> str:
    """Return the sha256 of what a stream holds."""
    digest = hashlib.sha256()
    while block := stream.read(CHUNK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def is_right(path: Path, wanted: dict[str, Any]) -> bool:
    """Return whether a regular file has the wanted size and digest."""
    try:
        if path.is_symlink() or path.stat().st_size != wanted["size"]:
            return False
        with path.open("rb") as stream:
            return digest_of(stream) == wanted["sha256"]
    except OSError:
        return False


def wrong_files(root: Path, files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those of `files` that are not below `root` as they should be."""
    with ThreadPoolExecutor(HASH_THREADS) as threads:
        right = threads.map(lambda file: is_right(root / file["path"], file), files)
    return [file for file, good in zip(files, right, strict=True) if not good]


def extra_files(root: Path, folders: list[str], files: list[dict[str, Any]]) -> list[Path]:
    """Return files in `folders` below `root` that are not among `files`."""
    known = {root / file["path"] for file in files}
    found = (path for folder in folders for path in (root / folder).rglob("*"))
    return sorted(path for path in found if not path.is_dir() or path.is_symlink() if path not in known)


class Placer:
    """Writes files below one folder, so that after a power loss each is there whole or not at all."""

    def __init__(self, root: Path, mode: int) -> None:
        self._root = root
        self._mode = mode
        self._folders: set[Path] = set()

    def reuse(self, pattern: str, wanted: dict[str, Any]) -> bool:
        """Link a file that another folder has already; return whether there was one."""
        relative = Path(wanted["path"])
        for folder in sorted(Path("/").glob(pattern.lstrip("/"))) if pattern else ():
            source = folder / relative
            if folder != self._root and is_right(source, wanted):
                partial = self._partial(wanted)
                try:
                    os.link(source, partial)
                except OSError:
                    continue
                self._appear(partial, wanted)
                return True
        return False

    def write(self, stream: IO[bytes], wanted: dict[str, Any]) -> None:
        """Write one file. Raises ValueError when the bytes are not the wanted ones."""
        partial = self._partial(wanted)
        digest, size = hashlib.sha256(), 0
        with partial.open("wb") as file:
            while block := stream.read(CHUNK_BYTES):
                digest.update(block)
                size += len(block)
                file.write(block)
            file.flush()
            os.fchmod(file.fileno(), self._mode)
            os.fsync(file.fileno())
        if (size, digest.hexdigest()) != (wanted["size"], wanted["sha256"]):
            partial.unlink()
            raise ValueError(f"{wanted['path']}: sha256 is {digest.hexdigest()}, the manifest says {wanted['sha256']}")
        self._appear(partial, wanted)

    def sync(self) -> None:
        """Have the names of all files on the disk."""
        for folder in sorted(self._folders):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _partial(self, wanted: dict[str, Any]) -> Path:
        path = self._root / wanted["path"]
        make_folders(path.parent)
        partial = path.with_name(path.name + PARTIAL)
        partial.unlink(missing_ok=True)
        return partial

    def _appear(self, partial: Path, wanted: dict[str, Any]) -> None:
        path = self._root / wanted["path"]
        partial.replace(path)
        self._folders |= {path.parent, self._root}


def make_folders(folder: Path) -> None:
    """Make a folder and those above it that are missing, for root to write and everybody to read."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o755)
        path.chmod(0o755)


def members(archive: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the regular files of a tar stream; anything else is refused. Raises ValueError."""
    with tarfile.open(fileobj=archive, mode="r|") as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isreg() else None
            if stream is None:
                raise ValueError(f"{member.name}: not a regular file")
            yield member.name, stream


def wrong_modes(root: Path, files: list[dict[str, Any]], mode: int) -> list[Path]:
    """Return files that others own, or that have other permissions."""
    found = []
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            status = (root / file["path"]).stat()
            if status.st_uid != os.geteuid() or status.st_mode & 0o7777 != mode:
                found.append(root / file["path"])
    return found


def wrong_links(links: dict[str, str]) -> list[str]:
    """Return the links that are missing or lead elsewhere."""
    return [
        path for path, target in links.items() if not Path(path).is_symlink() or str(Path(path).readlink()) != target
    ]


def make_link(path: Path, target: str) -> None:
    """Make or replace a link in one step."""
    make_folders(path.parent)
    partial = path.with_name(path.name + PARTIAL)
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(path)


def inspect(params: dict[str, Any], *, change: bool) -> dict[str, Any]:
    """Return what is wrong, after what needs no bytes from the controller was put right if `change` says so."""
    root, mode, files = Path(params["into"]), int(params["mode"], 8), params["files"]
    wrong = wrong_files(root, files)
    extra = extra_files(root, params["folders"], files) if params["exact"] else []
    modes = wrong_modes(root, files, mode)
    links = wrong_links(params["links"])
    missing = wrong
    if change:
        placer = Placer(root, mode)
        missing = [file for file in wrong if not placer.reuse(params["reuse"], file)]
        placer.sync()
        for path in extra:
            path.unlink()
        for path in modes:
            os.chown(path, os.geteuid(), os.getegid())
            path.chmod(mode)
        for name in links:
            make_link(Path(name), params["links"][name])
    return {
        "changed": bool(wrong or extra or modes or links),
        "placed": [file["path"] for file in wrong],
        "removed": [str(path) for path in extra],
        "repaired": [str(path) for path in modes],
        "linked": links,
        "missing": [file["path"] for file in missing],
    }


def unpack(params: dict[str, Any]) -> dict[str, Any]:
    """Write the files of the archive that the controller sent. Raises ValueError for one that is not wanted."""
    root, wanted = Path(params["into"]), {file["path"]: file for file in params["files"]}
    placer, written = Placer(root, int(params["mode"], 8)), []
    with Path(params["archive"]).open("rb") as archive:
        for name, stream in members(archive):
            if name not in wanted:
                raise ValueError(f"{name}: nobody asked for this file")
            placer.write(stream, wanted[name])
            written.append(name)
    placer.sync()
    return {"changed": bool(written), "placed": written}


def main() -> None:
    """Answer the action plugin."""
    module = AnsibleModule(
        argument_spec={
            "files": {"type": "list", "elements": "dict", "required": True},
            "folders": {"type": "list", "elements": "str", "default": []},
            "into": {"type": "path", "required": True},
            "mode": {"type": "str", "default": "0644"},
            "reuse": {"type": "str", "default": ""},
            "exact": {"type": "bool", "default": False},
            "links": {"type": "dict", "default": {}},
            "archive": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        if module.params["archive"]:
            module.exit_json(**unpack(module.params))
        module.exit_json(**inspect(module.params, change=not module.check_mode))
    except ValueError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{error.filename or module.params['into']}: {error.strerror}")


if __name__ == "__main__":
    main()
