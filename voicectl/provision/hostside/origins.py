"""Where the files of a release come from: the bundle's manifest, and the record of every wheel.

Both are signed: the manifest by the bundle's signature, the records as parts of wheels that pip checked by its digest.
"""

import base64
import csv
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from .inventory import Inventory
from .manifest import Manifest

REQUIRED: Final = ("manifest.json", "models.lock", "golden/golden.wav", "golden/golden.json")
"""Files without which a release cannot be gated or verified."""
_COMPILED: Final = ".pyc"


def problems_of(folder: Path, manifest: Manifest, found: Inventory) -> list[str]:
    """Return what in a release is not what its bundle held, one line a problem. `found` must have digests."""
    missing = [f"{name}: missing" for name in REQUIRED if name not in found]
    return [*missing, *_against_manifest(manifest, found), *_against_records(folder, found)]


def _against_manifest(manifest: Manifest, found: Inventory) -> Iterator[str]:
    for entry in manifest.files:
        item = found.get(entry.path)
        if item is not None and (item.size, item.sha256) != (entry.size, entry.sha256):
            yield f"{entry.path}: sha256 is {item.sha256}, the manifest says {entry.sha256}"


def _against_records(folder: Path, found: Inventory) -> Iterator[str]:
    records = [name for name in found if name.endswith(".dist-info/RECORD")]
    known: set[str] = set()
    for record in sorted(records):
        packages = PurePosixPath(record).parent.parent
        for path, digest in _rows(folder / record):
            name = os.path.normpath(packages / path)
            known.add(name)
            item = found.get(name)
            if digest is None:
                continue
            if item is None:
                yield f"{name}: missing, {record} names it"
            elif item.sha256 != digest:
                yield f"{name}: sha256 is {item.sha256}, {record} says {digest}"
    homes = {str(PurePosixPath(record).parent.parent) for record in records}
    for name in sorted(found.keys() - known):
        if not name.endswith(_COMPILED) and any(name.startswith(f"{home}/") for home in homes):
            yield f"{name}: no wheel holds it"


def _rows(record: Path) -> Iterator[tuple[str, str | None]]:
    with record.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            if row:
                method, _, value = row[1].partition("=") if len(row) > 1 else ("", "", "")
                yield row[0], _hexadecimal(value) if method == "sha256" else None


def _hexadecimal(value: str) -> str:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
