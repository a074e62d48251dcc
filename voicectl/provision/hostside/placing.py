"""Put a release in place: its unit, its settings, and the link that the unit starts it through; and put all that back.

The unit belongs to the release, because options that only a newer release knows would break the older one.
"""

import contextlib
from pathlib import Path
from typing import Final

from .durable import point, remove_link, sync_folder, write_atomically
from .faults import Refused, TaskFailed
from .layout import RELEASE_ID, Layout
from .settings import FILE_NAME, GATE_TEMPLATE, UNIT
from .units import Units

_KEPT: Final = (UNIT, FILE_NAME)
_READABLE: Final = 0o644


class Placing:
    """What of a release lies outside its folder. Every method may be repeated after it was cut off anywhere."""

    def __init__(self, layout: Layout, units: Units) -> None:
        self._layout = layout
        self._units = units
        self._unit = layout.units / UNIT

    def linked(self) -> str | None:
        """Return the release that the link points to; None when there is no link, or no release behind its name."""
        link = self._layout.link
        if not link.is_symlink():
            return None
        target = link.readlink()
        name = target.name
        if target not in (Path("releases") / name, self._layout.releases / name):
            return None
        return name if RELEASE_ID.fullmatch(name) else None

    def refuse_incomplete(self, release_id: str) -> None:
        """Raise Refused when a release has no units to put in place."""
        for name in (UNIT, GATE_TEMPLATE):
            path = self._system(release_id) / name
            if path.is_symlink() or not path.is_file():
                raise Refused(f"{path} is missing", hint="run the installation again")

    def is_placed(self, release_id: str) -> bool:
        """Return whether link, unit and settings are those of a release."""
        system, live = self._system(release_id), self._layout.live
        return (
            self.linked() == release_id
            and _content(self._unit) == _content(system / UNIT)
            and all(_content(live / name) == _content(system / name) for name in _KEPT)
        )

    def is_unit_edited(self) -> bool:
        """Return whether the unit is another one than was put in place."""
        wanted = _content(self._layout.live / UNIT)
        return wanted is not None and _content(self._unit) != wanted

    def remember(self) -> None:
        """Keep what is in place now, so that it can be put back."""
        before = self._layout.before
        _copy(_content(self._unit), before / UNIT)
        _copy(_content(self._layout.live / FILE_NAME), before / FILE_NAME)

    def place(self, release_id: str) -> None:
        """Put a release in place. Raises TaskFailed when it is not there."""
        self._refuse_lost(release_id)
        self._put(self._system(release_id))
        self._units.enable(UNIT)
        point(self._layout.link, f"releases/{release_id}")

    def put_back(self, origin: str | None) -> None:
        """Put back what was remembered, with the link to `origin`. Raises TaskFailed when that is not there."""
        if origin is None:
            self._units.disable(UNIT)
            self._put(self._layout.before)
            remove_link(self._layout.link)
            return
        self._refuse_lost(origin)
        self._put(self._layout.before)
        point(self._layout.link, f"releases/{origin}")

    def relink(self, release_id: str | None) -> None:
        """Make the link alone point to a release, or remove it."""
        if release_id is None:
            remove_link(self._layout.link)
            return
        self._refuse_lost(release_id)
        point(self._layout.link, f"releases/{release_id}")

    def place_gate(self, release_id: str) -> None:
        """Put the unit of a candidate where a reboot forgets it."""
        folder = self._layout.passing_units
        folder.mkdir(parents=True, exist_ok=True)
        _copy(_content(self._system(release_id) / GATE_TEMPLATE), folder / GATE_TEMPLATE, _READABLE)
        self._units.reload()

    def remove_gate(self) -> None:
        """Take the unit of a candidate away."""
        path = self._layout.passing_units / GATE_TEMPLATE
        if path.exists():
            path.unlink()
            self._units.reload()

    def _put(self, source: Path) -> None:
        for name in _KEPT:
            _copy(_content(source / name), self._layout.live / name)
        _copy(_content(source / UNIT), self._unit, _READABLE)
        self._units.reload()

    def _system(self, release_id: str) -> Path:
        return self._layout.release(release_id) / "system"

    def _refuse_lost(self, release_id: str) -> None:
        if not self._layout.release(release_id).is_dir():
            raise TaskFailed(f"the folder of {release_id} is gone")


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _copy(content: bytes | None, path: Path, mode: int = 0o600) -> None:
    if content is None:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            sync_folder(path.parent)
    elif _content(path) != content or path.is_symlink():
        write_atomically(path, content, mode)
