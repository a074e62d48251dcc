"""What `status` tells of a host, from its state and a look at its service. Changes nothing."""

from dataclasses import asdict
from typing import Any

from .configuration import differences, read_configuration
from .layout import Layout
from .lock import holder
from .placing import Placing
from .records import Records
from .settings import UNIT
from .state import Release, State
from .units import Units, UnitState


def status(layout: Layout) -> dict[str, Any]:
    """Return the status of a host; `drift` holds what the last verification found and what can be seen at once."""
    state = Records(layout).load()
    units = Units(layout)
    placing = Placing(layout, units)
    service = units.state(UNIT)
    return document(state, service, drift=_drift(layout, state, placing), locked_by=holder(layout.lock))


def document(state: State, service: UnitState, *, drift: list[str], locked_by: str | None) -> dict[str, Any]:
    """Return the status as it is printed. What is not known is null."""
    active = None if state.active is None else state.releases.get(state.active)
    verification = state.verification
    return {
        "changed": False,
        "release": state.active,
        "state": _word(state),
        "since": active.good_at if active else None,
        "version": active.version if active else None,
        "serial": active.serial if active else None,
        "previous": state.previous,
        "tainted": bool(state.taint),
        "taint": list(state.taint),
        "service": service.active,
        "ready": service.active == "active" if state.active else None,
        "locked_by": locked_by,
        "attempt": asdict(state.attempt) if state.attempt else None,
        "last_change": asdict(state.last) if state.last else None,
        "last_verify": verification.at if verification else None,
        "last_verify_deep": verification.deep if verification else None,
        "last_verify_ok": verification.num_drift == 0 if verification else None,
        "drift": drift,
        "releases": [_release(release, state) for release in state.releases.values()],
    }


def _word(state: State) -> str:
    if state.attempt is not None:
        return "changing"
    return "good" if state.active is not None else "none"


def _release(release: Release, state: State) -> dict[str, Any]:
    return {
        "id": release.release_id,
        "state": "active" if release.release_id == state.active else release.status,
        "version": release.version,
        "serial": release.serial,
        "good_at": release.good_at,
        "left_at": release.left_at,
        "failed_at": release.failed_at,
        "reason": release.reason,
    }


def _drift(layout: Layout, state: State, placing: Placing) -> list[str]:
    found = list(state.verification.drift) if state.verification else []
    if state.attempt is None and placing.linked() != state.active:
        found.append(f"{layout.link}: leads to {placing.linked() or 'nothing'}, {state.active or 'nothing'} is active")
    if state.active is not None and placing.is_unit_edited():
        found.append(f"{layout.units / UNIT}: edited by hand")
    if state.configuration:
        found += differences(state.configuration, read_configuration(layout))
    return list(dict.fromkeys(found))
