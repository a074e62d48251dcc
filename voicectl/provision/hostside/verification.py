"""Compare a host with what was recorded of it: releases, weights, link, units, configuration. Repairs nothing."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .configuration import differences, read_configuration
from .faults import Damaged, ReleaseError
from .inventory import compare, file_digest, take_inventory
from .layout import Layout
from .manifest import BundleFile, Manifest, blob_path, read_manifest
from .placing import Placing
from .records import Records, now_text
from .settings import UNIT
from .state import State, Verification
from .units import Units

MAX_LISTED: Final = 200


@dataclass(slots=True)
class _Count:
    files: int = 0
    size: int = 0


class Verifier:
    """Verifies one host."""

    def __init__(self, layout: Layout, records: Records, placing: Placing, units: Units) -> None:
        self._layout = layout
        self._records = records
        self._placing = placing
        self._units = units

    def verify(self, state: State, *, deep: bool) -> Verification:
        """Return what differs; `deep` reads every byte, otherwise names, sizes and modes are compared."""
        began_at = time.monotonic()
        count = _Count()
        drift = [*self._host(state), *self._configuration(state)]
        for release_id in (state.active, state.previous):
            if release_id is not None:
                drift += self._release(state, release_id, count, deep=deep)
        return Verification(
            at=now_text(),
            deep=deep,
            num_files=count.files,
            num_bytes=count.size,
            took_s=round(time.monotonic() - began_at, 2),
            num_drift=len(drift),
            drift=tuple(drift[:MAX_LISTED]),
        )

    def release_problems(self, state: State, release_id: str, *, deep: bool) -> list[str]:
        """Return how one release and its weights differ from what was staged."""
        return self._release(state, release_id, _Count(), deep=deep)

    def _release(self, state: State, release_id: str, count: _Count, *, deep: bool) -> list[str]:
        folder = self._layout.release(release_id)
        try:
            wanted = self._records.inventory_of(state.releases[release_id])
            found = take_inventory(folder, deep=deep)
            manifest = read_manifest(self._layout, release_id)
        except (ReleaseError, OSError) as error:
            return [f"releases/{release_id}: {error}"]
        count.files += len(found)
        count.size += sum(item.size for item in found.values())
        problems = [f"releases/{release_id}/{line}" for line in compare(wanted, found)]
        count.files += len(manifest.blobs)
        count.size += sum(blob.size for blob in manifest.blobs)
        return [*problems, *blob_problems(self._layout, manifest, deep=deep)]

    def _host(self, state: State) -> Iterator[str]:
        if state.attempt is not None:
            yield f"a change to {state.attempt.target} is in progress, or was interrupted"
            return
        linked = self._placing.linked()
        if linked != state.active or (linked is None and self._layout.link.is_symlink()):
            yield f"{self._layout.link}: leads to {linked or 'something else'}, {state.active or 'nothing'} is active"
        if state.active is None:
            return
        if self._placing.is_unit_edited():
            yield f"{self._layout.units / UNIT}: edited by hand"
        running = self._units.running_release(UNIT)
        if running not in (None, state.active):
            yield f"{UNIT}: runs {running}, {state.active} is active"

    def _configuration(self, state: State) -> list[str]:
        return differences(state.configuration, read_configuration(self._layout)) if state.configuration else []


def blob_problems(layout: Layout, manifest: Manifest, *, deep: bool) -> Iterator[str]:
    """Yield what is wrong with the weights that a release needs."""
    for blob in manifest.blobs:
        if problem := _blob_problem(blob_path(layout, blob), blob, deep=deep):
            yield f"{blob.path}: {problem}"


def _blob_problem(path: Path, blob: BundleFile, *, deep: bool) -> str | None:
    try:
        size = path.lstat().st_size
        digest = file_digest(path) if deep and size == blob.size else None
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return str(error.strerror)
    if size != blob.size:
        return f"{size} bytes, not {blob.size}"
    if digest not in (None, blob.sha256):
        return f"sha256 is {digest}"
    return None


def refuse_problems(what: str, problems: list[str], hint: str) -> None:
    """Raise Damaged, naming the first problems, when there are any."""
    if problems:
        listed = "; ".join(problems[:3])
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise Damaged(f"{what}: {listed}{more}", hint=hint, facts={"problems": problems[:MAX_LISTED]})
