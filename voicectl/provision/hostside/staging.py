"""Take a release's folder into account: check every byte where it lies, list it, and only then know it."""

import os
from dataclasses import replace
from typing import Final

from .checks import refuse_host
from .durable import remove_tree
from .faults import BadUsage
from .hostfacts import host_facts
from .inventory import refuse_unsafe, take_inventory
from .layout import Layout, checked_id, refuse_unsafe_folder
from .manifest import Manifest, read_manifest
from .origins import problems_of
from .records import Records, now_text
from .state import Release, State
from .verification import Verifier, blob_problems, refuse_problems

_AGAIN: Final = "run `voicectl install` again with the bundle of this release"


class Stager:
    """Takes releases of one host into account."""

    def __init__(self, layout: Layout, records: Records, verifier: Verifier) -> None:
        self._layout = layout
        self._records = records
        self._verifier = verifier

    def stage(self, state: State, release_id: str, taint: str | None) -> tuple[State, bool]:
        """Return the state with a release staged, and whether that changed anything.

        A release that is known and looks as it did is not read again. Raises Refused or Damaged.
        """
        folder = self._layout.release(release_id)
        if not folder.is_dir() or folder.is_symlink():
            raise BadUsage(f"{folder} is no folder", hint="place the release first, then stage it")
        refuse_unsafe_folder(folder)
        tainted = _tainted(state, release_id, taint)
        if release_id in state.releases and not self._verifier.release_problems(state, release_id, deep=False):
            if tainted != state:
                self._records.save(tainted)
            return tainted, tainted != state
        manifest = read_manifest(self._layout, release_id)
        refuse_host(manifest.compatible, host_facts(self._layout))
        refuse_unsafe(folder)
        return self._staged(tainted, release_id, manifest), True

    def prepare(self, state: State, release_id: str) -> bool:
        """Return whether a release is known; what is left of one that is not is removed, to be placed anew."""
        if checked_id(release_id) in state.releases:
            return True
        if self._layout.release(release_id).exists():
            remove_tree(self._layout.release(release_id))
            self._records.note("leftovers_removed", release=release_id)
        return False

    def _staged(self, state: State, release_id: str, manifest: Manifest) -> State:
        folder = self._layout.release(release_id)
        found = take_inventory(folder, deep=True)
        refuse_problems(f"{release_id} is not what its bundle holds", problems_of(folder, manifest, found), _AGAIN)
        weights = list(blob_problems(self._layout, manifest, deep=True))
        refuse_problems("the weights are not what the bundle holds", weights, _AGAIN)
        # All of it must be on disk before it is known: the files were written by others, who need not have cared.
        os.sync()
        digest = self._records.keep_inventory(release_id, found)
        known = state.releases.get(release_id)
        if known is not None:
            release = replace(known, inventory_sha256=digest)
        else:
            release = Release(release_id, "staged", manifest.version, manifest.serial, digest, now_text())
        state = state.with_release(release)
        self._records.save(state)
        self._records.note("release_staged", release=release_id, files=len(found))
        return state


def _tainted(state: State, release_id: str, taint: str | None) -> State:
    line = f"{release_id}: {taint}"
    if taint is None or line in state.taint:
        return state
    return replace(state, taint=(*state.taint, line))
