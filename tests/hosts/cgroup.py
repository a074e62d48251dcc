"""The control groups of one guest: what a service manager needs to find, and a bound on processor time."""

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_PERIOD_US: Final = 100_000


class GuestGroup:
    """The groups of one guest in every hierarchy that matters, on pure and on hybrid hosts."""

    def __init__(self, name: str) -> None:
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
        unified = [Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"]
        legacy = {option: Path(mount[1]) for mount in mounts if mount[2] == "cgroup" for option in mount[3].split(",")}
        self._unified = [root / f"voicectl-hosts-{name}" for root in unified[:1]]
        self._legacy = [
            legacy[key] / f"voicectl-hosts-{name}" for key in ("name=systemd", "cpu", "memory") if key in legacy
        ]

    def create(self, cpus: float | None) -> None:
        """Make the groups; `cpus` bounds the processor time of the whole guest."""
        for folder in (*self._unified, *self._legacy):
            folder.mkdir(exist_ok=True)
        if cpus is None:
            return
        quota = round(cpus * _PERIOD_US)
        for folder in (*self._unified, *self._legacy):
            if (folder / "cpu.max").exists():
                (folder / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
            elif (folder / "cpu.cfs_quota_us").exists():
                (folder / "cpu.cfs_quota_us").write_text(str(quota))

    def entering(self) -> Callable[[], None]:
        """Return what a child process calls to enter the groups before it starts the guest."""
        files = [folder / "cgroup.procs" for folder in (*self._unified, *self._legacy)]

        def enter() -> None:
            for file in files:
                file.write_text(str(os.getpid()))

        return enter

    def processes(self) -> set[int]:
        """Return the pids that are left in the guest."""
        found: set[int] = set()
        for folder in (*self._unified, *self._legacy):
            for group in _groups(folder):
                with contextlib.suppress(OSError):
                    found.update(int(pid) for pid in (group / "cgroup.procs").read_text().split())
        return found

    def processor_s(self) -> float:
        """Return the processor time that the guest has used; it does not grow while others use the processors."""
        lines = (self._unified[0] / "cpu.stat").read_text().splitlines()
        usage = dict(line.split() for line in lines)
        return int(usage["usage_usec"]) / 1e6

    def remove(self, *, timeout_s: float = 5.0) -> None:
        """Remove the groups once they are empty. Raises OSError if they are not within `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        for folder in (*self._unified, *self._legacy):
            # A walk that met the end of a group may have left out those above it.
            for group in (*_groups(folder), folder):
                while group.exists():
                    try:
                        group.rmdir()
                    except OSError:
                        if time.monotonic() > deadline:
                            raise
                        time.sleep(0.05)


def _groups(folder: Path) -> list[Path]:
    """Return the groups at and below `folder`, innermost first; one that ends meanwhile is left out, not an error."""
    return [Path(group) for group, _, _ in os.walk(folder, topdown=False)]
