"""What can be seen of voicectl on a guest, by means that are not voicectl's own where there are any."""

import json
import re
import time
from typing import Any, Final

from tests.hosts.machine import Machine

READY_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.3
_CHANGING: Final = (
    "/proc",
    "/sys",
    "/run",
    "/dev",
    "/tmp",
    "/var/tmp",
    "/var/log",
    "/var/lib/dpkg",
    "/var/lib/apt",
    "/var/cache",
)
"""Folders of the kernel, of logs and of the package manager."""
_ENABLED_BY_PACKAGES: Final = "/var/lib/systemd/deb-systemd-helper-enabled/"
_OVERALL: Final = re.compile(r"Overall exposure level for \S+: ([0-9.]+)")
_CHANGED_BY_SYSTEM: Final = frozenset({"/etc/ld.so.cache", "/var/lib/systemd/random-seed"})


def active_release(machine: Machine) -> str | None:
    """Return the name of the folder that `current` leads to, None where there is no such link."""
    return machine.read("readlink /opt/voicectl/current || true").rpartition("/")[2] or None


def is_ready(machine: Machine) -> bool:
    """Return whether the service has told its manager that it takes calls."""
    return machine.ssh("systemctl is-active voicectl.service", check=False).stdout.strip() == "active"


def wait_until_ready(machine: Machine, *, timeout_s: float = READY_TIMEOUT_S) -> float:
    """Return after how many seconds the service was ready. Raises AssertionError with the journal otherwise."""
    begun = time.monotonic()
    while not is_ready(machine):
        if time.monotonic() - begun > timeout_s:
            raise AssertionError(f"{machine.name} is not ready after {timeout_s:.0f} s\n{journal(machine)[-6000:]}")
        time.sleep(_POLL_S)
    return time.monotonic() - begun


def journal(machine: Machine, *options: str) -> str:
    """Return the journal of every unit of voicectl."""
    return machine.read(
        " ".join(["journalctl", "--no-pager", "-o", "short-iso-precise", "-u", "'voicectl*'", *options])
    )


def whole_journal(machine: Machine) -> str:
    """Return everything the guest has logged, in every field."""
    return machine.read("journalctl --no-pager --all -o json")


def release_program(machine: Machine, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the release program on the guest itself; return its exit code and document."""
    done = machine.ssh(
        f"/usr/bin/python3 -I /opt/voicectl/lib/release.pyz {' '.join(arguments)}", check=False, timeout_s=300
    )
    return done.returncode, json.loads(done.stdout)


def exposure(machine: Machine, unit: str = "voicectl.service") -> float:
    """Return the exposure of a unit as the guest's own systemd scores it; lower is better."""
    lines = machine.ssh(f"systemd-analyze security --no-pager {unit}", check=False).stdout.splitlines()
    overall = next(found for line in lines if (found := _OVERALL.search(line)))
    return float(overall[1])


def own_files(machine: Machine) -> set[str]:
    """Return every path of the guest that no Debian package owns, without logs and the package manager's records."""
    pruned = " -o ".join(f"-path {folder}" for folder in _CHANGING)
    found = set(machine.read(f"find / -xdev \\( {pruned} \\) -prune -o -print").splitlines())
    owned = set(machine.read("cat /var/lib/dpkg/info/*.list").splitlines())
    # Debian keeps programs below /usr and lists some of them by their old names.
    owned |= {f"/usr{path}" for path in owned}
    ours = found - owned - _CHANGED_BY_SYSTEM
    # Which units Debian's packages have enabled is the package manager's own note.
    return {path for path in ours if "/__pycache__" not in path and not path.startswith(_ENABLED_BY_PACKAGES)}


def packages(machine: Machine) -> set[str]:
    """Return the Debian packages of the guest."""
    return set(machine.read("dpkg-query -W -f '${Package}\\n'").splitlines())


def accounts(machine: Machine) -> set[str]:
    """Return users and groups of the guest."""
    return set(machine.read("cut -d: -f1 /etc/passwd /etc/group").splitlines())


def leftovers(machine: Machine) -> str:
    """Return what of voicectl is still active in the guest: processes, units, rules, mounts, settings."""
    return machine.read(
        "pgrep -af '[v]oicectl' | grep -v pgrep || true;"
        "systemctl list-units --all --no-legend --plain 'voicectl*' || true;"
        "systemctl list-unit-files --no-legend 'voicectl*' || true;"
        "command -v nft >/dev/null && nft list tables | grep voicectl || true;"
        "grep voicectl /proc/mounts || true;"
        "ls -d /run/voicectl /run/systemd/system/voicectl* 2>/dev/null || true"
    )
