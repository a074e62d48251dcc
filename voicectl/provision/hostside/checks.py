"""What refuses a release before anything is touched. Pure: state, manifests and facts in, a reason out."""

import re
from collections.abc import Iterable
from typing import Final

from .faults import Refused
from .hostfacts import HostFacts
from .manifest import Compatible, Manifest
from .state import Release, State

_NUMBERS: Final = re.compile(r"\d+(?:\.\d+)*")


def refuse_host(compatible: Compatible, facts: HostFacts) -> None:
    """Raise Refused, with all reasons at once, when a release is not made for this host."""
    wanted = (
        ("operating system", compatible.os, facts.os),
        ("version of the system", compatible.os_version, facts.os_version),
        ("architecture", compatible.arch, facts.arch),
        ("Python", compatible.python, facts.python),
    )
    reasons = [f"{what} is {actual}, not {value}" for what, value, actual in wanted if value not in (None, actual)]
    if facts.cpu_flags is not None:
        missing = [flag for flag in compatible.cpu_flags if flag not in facts.cpu_flags]
        reasons += [f"the processor lacks {', '.join(missing)}"] if missing else []
    if reasons:
        raise Refused(
            f"the release is not made for this host: {'; '.join(reasons)}", hint="use a bundle built for this host"
        )


def refuse_activation(
    state: State, release_id: str, wanted: Manifest, active: Manifest | None, *, allow_downgrade: bool
) -> Release:
    """Return the release to activate. Raises Refused when it is not staged, or may not follow the active one.

    `active` is the manifest of the active release, None where it cannot be read: damage must not bar the way on.
    """
    release = state.releases.get(release_id)
    if release is None:
        raise Refused(f"{release_id} is not staged on this host", hint="run `voicectl install` with its bundle")
    current = None if state.active is None else state.releases.get(state.active)
    if current is None or current.release_id == release_id:
        return release
    if release.serial < current.serial and not allow_downgrade:
        raise Refused(
            f"{release_id} has the serial {release.serial}, the active release has {current.serial}: a downgrade",
            hint="go back with `voicectl rollback`, or allow it on purpose with --allow-downgrade",
        )
    least = wanted.min_from_version
    if least is not None and numbers(current.version) < numbers(least):
        raise Refused(
            f"{release_id} can follow {least} or newer, and {current.version} is active",
            hint=f"upgrade to {least} first",
        )
    if active is not None and wanted.compatible.gpu_driver != active.compatible.gpu_driver:
        raise Refused(
            f"{release_id} wants the GPU driver {wanted.compatible.gpu_driver}, the active release "
            f"{active.compatible.gpu_driver}: driver and application do not change in one step",
            hint="a driver does not roll back with a link: change it first, with a bundle of the same version",
        )
    return release


def rollback_target(state: State, wanted: str | None) -> Release:
    """Return the release to go back to. Raises Refused when there is none that was ever good."""
    if state.active is None:
        raise Refused("no release is active on this host", hint="install one: `voicectl install`")
    target = wanted or state.previous
    release = None if target is None else state.releases.get(target)
    good = [name for name, known in state.releases.items() if known.good_at and name != state.active]
    if release is None or release.good_at is None:
        raise Refused(
            f"{target} was never good on this host" if target else "there is no release to go back to",
            hint=f"known good: {', '.join(sorted(good)) or 'none but the active one'}",
        )
    if wanted is None and release.left_at is not None:
        # A rollback whose report was lost is often asked for again: it must not lead forward.
        raise Refused(
            f"{target} was left by a rollback at {release.left_at}, and {state.active} is active",
            hint=f"if you mean it: --to {target}",
        )
    return release


def prunable(state: State, present: Iterable[str]) -> list[str]:
    """Return which releases may be removed: all that are known, but the active one and the one before it.

    What failed last stays, too, to be looked at and tried again; what failed before it goes, for it fills the disk.
    """
    kept = {state.active, state.previous}
    if state.attempt is not None:
        kept |= {state.attempt.target, state.attempt.origin}
    if state.last is not None and state.last.result != "good":
        kept.add(state.last.target)
    if state.previous is None:
        # Nothing to go back to yet: the newest staged release stays.
        staged = sorted((known for known in state.releases.values()), key=lambda known: known.staged_at)
        kept |= {known.release_id for known in staged[-1:]}
    return sorted(name for name in present if name in state.releases and name not in kept)


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with, for comparison: 1.10 is newer than 1.9."""
    found = _NUMBERS.match(version)
    return tuple(map(int, found.group().split("."))) if found else ()
