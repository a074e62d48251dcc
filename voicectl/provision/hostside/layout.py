"""Where everything of a host lies, below one root, and what a release may be called."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .faults import BadUsage, Refused

RELEASE_ID: Final = re.compile(r"[0-9][0-9A-Za-z._]{0,60}-[0-9a-f]{12}")
"""Version and the head of the manifest's digest; every such name may be part of a unit's name."""
WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one host. `root` is `/`, or the folder that stands for it."""

    root: Path = Path("/")

    @property
    def opt(self) -> Path:
        """Return the folder of releases and of this program."""
        return self.root / "opt/voicectl"

    @property
    def releases(self) -> Path:
        """Return the folder that has a folder for each release."""
        return self.opt / "releases"

    @property
    def link(self) -> Path:
        """Return the link to the release that serves."""
        return self.opt / "current"

    @property
    def state(self) -> Path:
        """Return the folder of what this program remembers."""
        return self.root / "var/lib/voicectl/release"

    @property
    def store(self) -> Path:
        """Return the folder of weights, which all releases share."""
        return self.root / "var/lib/voicectl"

    @property
    def live(self) -> Path:
        """Return the folder with copies of the unit and the settings that were put in place."""
        return self.state / "live"

    @property
    def before(self) -> Path:
        """Return the folder with what `live` was before the change in progress."""
        return self.state / "before"

    @property
    def lock(self) -> Path:
        """Return the file of the lock."""
        return self.root / "run/voicectl/release.lock"

    @property
    def units(self) -> Path:
        """Return the folder of the host's own units."""
        return self.root / "etc/systemd/system"

    @property
    def passing_units(self) -> Path:
        """Return the folder of units that are gone after a reboot."""
        return self.root / "run/systemd/system"

    @property
    def key(self) -> Path:
        """Return the file with the API key of the golden call."""
        return self.root / "etc/voicectl/gate.key"

    def release(self, release_id: str) -> Path:
        """Return the folder of a release. Raises BadUsage when that is no release's name."""
        return self.releases / checked_id(release_id)

    def inventory(self, release_id: str) -> Path:
        """Return the file that lists what is in a release."""
        return self.state / "inventory" / f"{checked_id(release_id)}.json"

    def tool(self, name: str) -> Path:
        """Return a program of the host; never looked up in a search path."""
        return self.root / "usr/bin" / name


def checked_id(release_id: str) -> str:
    """Return a release's name. Raises BadUsage when it is none."""
    if RELEASE_ID.fullmatch(release_id) is None or ".." in release_id:
        raise BadUsage(f"{release_id!r} is no release", hint="a release is VERSION-DIGEST, as in 1.4.0-0f3a9c41d2b7")
    return release_id


def refuse_unsafe_folder(folder: Path) -> None:
    """Raise Refused unless `folder` and all above it are real folders that only root, or this user, may change.

    Folders above may be open to all if they keep people apart (sticky, as /tmp is).
    """
    mine = {0, os.geteuid()}
    for path in (folder, *folder.parents):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise Refused(f"{path} is no real folder", hint="remove it and run the installation again")
        if status.st_uid not in mine:
            raise Refused(f"{path} belongs to user {status.st_uid}", hint=f"chown root:root {path}")
        if status.st_mode & WRITABLE_BY_OTHERS and not (path != folder and status.st_mode & stat.S_ISVTX):
            raise Refused(f"{path} can be changed by others than its owner", hint=f"chmod go-w {path}")
