"""What a release says of itself: the manifest of its bundle. Reads and checks its shape, knows no host."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from .faults import Damaged
from .layout import Layout

MAX_BYTES: Final = 32_000_000
DIGEST_CHARACTERS: Final = 12
_BLOBS: Final = "blobs/sha256/"


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of the bundle; `path` is relative and has no `..`."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Compatible:
    """The hosts a release is made for; None and () ask for nothing."""

    os: str | None
    os_version: str | None
    arch: str | None
    python: str | None
    cpu_flags: tuple[str, ...]
    gpu_driver: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The manifest of one release."""

    version: str
    serial: int
    min_from_version: str | None
    compatible: Compatible
    files: tuple[BundleFile, ...]

    @property
    def blobs(self) -> tuple[BundleFile, ...]:
        """Return the weights, which lie in the store that all releases share."""
        return tuple(entry for entry in self.files if entry.path.startswith(_BLOBS))

    def file(self, path: str) -> BundleFile | None:
        """Return the entry of one path."""
        return next((entry for entry in self.files if entry.path == path), None)


def read_manifest(layout: Layout, release_id: str) -> Manifest:
    """Return the manifest of a release on disk. Raises Damaged when it is not the one the release is named by."""
    path = layout.release(release_id) / "manifest.json"
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Damaged(f"{path}: {error.strerror}", hint=_AGAIN) from error
    return parse_manifest(content, release_id)


def parse_manifest(content: bytes, release_id: str) -> Manifest:
    """Return the manifest of its bytes. Raises Damaged."""
    version, _, digest = release_id.rpartition("-")
    actual = hashlib.sha256(content).hexdigest()[:DIGEST_CHARACTERS]
    if actual != digest:
        raise Damaged(f"the manifest of {release_id} has the digest {actual}…", hint=_AGAIN)
    try:
        document = json.loads(content)
        manifest = Manifest(
            version=_typed(document, "version", str),
            serial=_typed(document, "serial", int),
            min_from_version=document.get("min_from_version"),
            compatible=_compatible(document.get("compatible") or {}),
            files=tuple(map(_file, document["files"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"the manifest of {release_id} cannot be read: {error}", hint=_AGAIN) from error
    if manifest.version != version:
        raise Damaged(f"the manifest of {release_id} is one of version {manifest.version}", hint=_AGAIN)
    return manifest


_AGAIN: Final = "run the installation again with the bundle of this release"


def _typed(document: Mapping[str, Any], key: str, kind: type) -> Any:
    value = document[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{key} is {value!r}")
    return value


def _compatible(document: Mapping[str, Any]) -> Compatible:
    gpu = document.get("gpu") or {}
    driver = gpu.get("driver")
    return Compatible(
        os=document.get("os"),
        os_version=document.get("os_version"),
        arch=document.get("arch"),
        python=document.get("python"),
        cpu_flags=tuple(document.get("cpu_flags") or ()),
        gpu_driver=None if driver is None else json.dumps(driver, sort_keys=True),
    )


def _file(document: Mapping[str, Any]) -> BundleFile:
    path = _typed(document, "path", str)
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise ValueError(f"{path!r} leads out of the bundle")
    return BundleFile(path, _typed(document, "size", int), _typed(document, "sha256", str))


def blob_path(layout: Layout, blob: BundleFile) -> Path:
    """Return where the store keeps a blob."""
    return layout.store / blob.path
