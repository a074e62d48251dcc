"""Remove what no kept release needs: release folders, and the weights that only they named."""

import shutil
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass

from .checks import prunable
from .durable import TRASH, remove_tree
from .faults import Damaged
from .layout import RELEASE_ID, Layout
from .manifest import read_manifest
from .records import Records
from .state import State


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights by the name of their model and by their digest."""

    models: frozenset[str]
    blobs: frozenset[str]

    def without(self, others: "Weights") -> "Weights":
        """Return what is here alone."""
        return Weights(self.models - others.models, self.blobs - others.blobs)


def prune(layout: Layout, records: Records, state: State) -> tuple[State, list[str]]:
    """Remove the releases that may go; return the state then, and what was removed."""
    for trash in layout.releases.glob(f"{TRASH}*"):
        shutil.rmtree(trash, ignore_errors=True)
    present = _present(layout, state)
    going = prunable(state, present)
    if not going:
        return state, []
    unneeded = _unneeded(layout, going, set(present) - set(going))
    state = state.without(frozenset(going))
    # Forgotten first: a folder that nobody knows is harmless, a release without a folder is not.
    records.save(state)
    for release_id in going:
        remove_tree(layout.release(release_id))
        layout.inventory(release_id).unlink(missing_ok=True)
    for model in unneeded.models:
        remove_tree(layout.store / "models" / model)
    for digest in unneeded.blobs:
        (layout.store / "blobs/sha256" / digest[:2] / digest).unlink(missing_ok=True)
    records.note("releases_pruned", releases=going, blobs=len(unneeded.blobs))
    return state, going


def _present(layout: Layout, state: State) -> list[str]:
    folders = [path.name for path in layout.releases.iterdir()] if layout.releases.is_dir() else []
    return sorted({name for name in folders if RELEASE_ID.fullmatch(name)} | set(state.releases))


def _unneeded(layout: Layout, going: Iterable[str], kept: Iterable[str]) -> Weights:
    try:
        needed = [_weights(layout, release_id) for release_id in kept]
        named = [_weights(layout, release_id) for release_id in going]
    except (Damaged, OSError, ValueError, KeyError):
        # What a damaged release needs is unknown, so all weights stay.
        return Weights(frozenset(), frozenset())
    return _together(named).without(_together(needed))


def _together(weights: list[Weights]) -> Weights:
    models = (name for each in weights for name in each.models)
    blobs = (digest for each in weights for digest in each.blobs)
    return Weights(frozenset(models), frozenset(blobs))


def _weights(layout: Layout, release_id: str) -> Weights:
    """Return all weights that a release names, here or not."""
    manifest = read_manifest(layout, release_id)
    lock = tomllib.loads((layout.release(release_id) / "models.lock").read_text(encoding="utf-8"))
    models = lock.get("model", [])
    pinned = {file["sha256"] for model in models for file in model.get("file", [])}
    return Weights(
        frozenset(model["name"] for model in models), frozenset(pinned | {blob.sha256 for blob in manifest.blobs})
    )
