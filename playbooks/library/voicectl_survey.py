#!/usr/bin/python
"""Look at a host and change nothing: what it is, what it has, who holds the ports. Decides nothing."""

from __future__ import annotations

import contextlib
import grp
import os
import platform
import pwd
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: voicectl_survey
short_description: Facts of a host that decide whether voicectl can run on it
description:
  - Reads /proc, /sys and /etc, and asks dpkg, systemd and nftables what they know. Nothing is written.
  - The result is the fact C(voicectl_survey).
options:
  ports:
    description: TCP ports whose listeners are looked up.
    type: list
    elements: int
    default: []
  needed_mb:
    description:
      - MiB that are needed below each folder. They are added up for each file system, and compared with its free space.
      - For a folder that does not exist, the nearest one above it counts.
    type: dict
    default: {}
  packages:
    description: Debian packages whose versions are looked up.
    type: list
    elements: str
    default: []
  units:
    description: Units of systemd that are asked for.
    type: list
    elements: str
    default: []
  files:
    description: Files that are looked for. One without content is none: it is what a loss of power can leave of it.
    type: list
    elements: path
    default: []
  user:
    description: User whose account is looked up.
    type: str
    default: root
  table:
    description: Table of nftables, with its family, that is looked for.
    type: str
    default: ""
author:
  - voicectl
"""

EXAMPLES = r"""
- name: Look at the host
  voicectl_survey:
    ports: [8080]
    needed_mb: {/opt: 1500, /var/lib: 400}
    packages: [nftables]
"""

RETURN = r"""
ansible_facts:
  description: The fact C(voicectl_survey).
  returned: always
  type: dict
"""

LISTENING = "0A"
NVIDIA = "0x10de"
DISPLAY_CLASSES = ("0x0300", "0x0302")
BRIDGE_CLASSES = ("0x0680",)
TIME_UNITS = ("systemd-timesyncd", "chrony", "chronyd", "ntpsec", "ntp", "openntpd")


def text_of(path: str) -> str:
    """Return what a file holds, or nothing."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def operating_system() -> dict[str, str]:
    """Return name and version of the distribution."""
    pairs = (line.split("=", 1) for line in text_of("/etc/os-release").splitlines() if "=" in line)
    release = {key.strip(): " ".join(shlex.split(value)) for key, value in pairs}
    return {"name": release.get("ID", "unknown"), "version": release.get("VERSION_ID", "unknown")}


def memory_mb() -> dict[str, int]:
    """Return the memory there is, and the part that is available, in MiB."""
    fields = dict(line.split(":", 1) for line in text_of("/proc/meminfo").splitlines() if ":" in line)
    return {
        name: int(fields.get(key, "0 kB").split()[0]) // 1024
        for name, key in (("total", "MemTotal"), ("available", "MemAvailable"))
    }


def cpu_flags() -> list[str]:
    """Return the instruction sets of the processor."""
    for line in text_of("/proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return sorted(value.split())
    return []


def file_systems(needed_mb: dict[str, int]) -> list[dict[str, Any]]:
    """Return the file systems that the folders lie in, or would lie in, with what their folders need together."""
    found: dict[int, dict[str, Any]] = {}
    for folder, needed in sorted(needed_mb.items()):
        path = Path(folder)
        while not path.exists():
            path = path.parent
        usage = os.statvfs(path)
        entry = found.setdefault(
            path.stat().st_dev,
            {
                "folders": [],
                "needed_mb": 0,
                "free_mb": usage.f_bavail * usage.f_frsize // 2**20,
                "read_only": bool(usage.f_flag & os.ST_RDONLY),
            },
        )
        entry["folders"].append(folder)
        entry["needed_mb"] += int(needed)
        entry["short_mb"] = max(0, entry["needed_mb"] - entry["free_mb"])
    return list(found.values())


def listeners(ports: list[int]) -> list[dict[str, Any]]:
    """Return who listens on `ports`: the address, and the systemd unit or program."""
    found = []
    for family in ("tcp", "tcp6"):
        for line in text_of(f"/proc/net/{family}").splitlines()[1:]:
            fields = line.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if fields[3] == LISTENING and port in ports:
                found.append({"port": port, "family": family, "inode": fields[9]})
    owners = socket_owners({entry["inode"] for entry in found}) if found else {}
    return [
        {"port": entry["port"], "family": entry["family"], **owners.get(entry["inode"], {"unit": "", "program": ""})}
        for entry in found
    ]


def socket_owners(inodes: set[str]) -> dict[str, dict[str, str]]:
    """Return the unit and the program that holds each socket."""
    owners = {}
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end while it is looked at.
        with contextlib.suppress(OSError):
            for link in (process / "fd").iterdir():
                inode = str(link.readlink()).removeprefix("socket:[").removesuffix("]")
                if inode in inodes:
                    cgroup = text_of(f"{process}/cgroup").strip().rpartition("/")[2]
                    owners[inode] = {"unit": cgroup, "program": text_of(f"{process}/comm").strip()}
    return owners


def nvidia_devices(classes: tuple[str, ...]) -> list[dict[str, str]]:
    """Return the NVIDIA devices of some classes on the PCI bus."""
    return [
        {"address": device.name, "device": text_of(f"{device}/device").strip()}
        for device in sorted(Path("/sys/bus/pci/devices").glob("*"))
        if text_of(f"{device}/vendor").strip() == NVIDIA and text_of(f"{device}/class").strip().startswith(classes)
    ]


def gpu() -> dict[str, Any]:
    """Return the GPUs, the switches between them, and what drives them."""
    return {
        "devices": nvidia_devices(DISPLAY_CLASSES),
        "switches": nvidia_devices(BRIDGE_CLASSES),
        "driver": text_of("/sys/module/nvidia/version").strip(),
        "nouveau": Path("/sys/module/nouveau").is_dir(),
    }


def asked(program: str, *arguments: str) -> str | None:
    """Return what a program of the host says, None where it is missing or says no."""
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        return None
    answer = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - fixed names
    return answer.stdout if answer.returncode == 0 or answer.stdout else None


def package_versions(names: list[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    told = asked("dpkg-query", "-W", "-f", "${db:Status-Status}\t${Package}\t${Version}\n", *names) if names else None
    rows = (line.split("\t") for line in (told or "").splitlines())
    return {name: version for status, name, version in rows if status == "installed"}


def units(names: list[str]) -> dict[str, dict[str, bool]]:
    """Return which units start with the host, are active, and are as their files say."""
    properties = "--property=Id,UnitFileState,ActiveState,NeedDaemonReload"
    blocks = (asked("systemctl", "show", properties, *names) or "").split("\n\n") if names else []
    shown = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]
    return {
        unit["Id"]: {
            "enabled": unit.get("UnitFileState") == "enabled",
            "active": unit.get("ActiveState") == "active",
            "current": unit.get("NeedDaemonReload") == "no",
        }
        for unit in shown
        if "Id" in unit
    }


def account(name: str) -> dict[str, str]:
    """Return the account of a user, nothing where the host has none."""
    try:
        user = pwd.getpwnam(name)
        group = grp.getgrgid(user.pw_gid).gr_name
    except KeyError:
        return {}
    return {"group": group, "home": user.pw_dir, "shell": user.pw_shell}


def time_service() -> str:
    """Return the service that keeps the clock right, or nothing."""
    for process in Path("/proc").glob("[0-9]*"):
        unit = text_of(f"{process}/cgroup").strip().rpartition("/")[2].removesuffix(".service")
        if unit in TIME_UNITS:
            return unit
    return ""


def container() -> str:
    """Return the kind of container this host is, or nothing."""
    return text_of("/run/systemd/container").strip()


def current_release() -> str:
    """Return the release that `current` points to, or nothing."""
    link = Path("/opt/voicectl/current")
    return link.readlink().name if link.is_symlink() else ""


def holds_something(path: Path) -> bool:
    """Return whether a file is there, with content."""
    return path.is_file() and path.stat().st_size > 0


def survey(asks: dict[str, Any]) -> dict[str, Any]:
    """Return everything; `asks` are the module's options."""
    return {
        "os": operating_system(),
        "arch": platform.machine(),
        "kernel": platform.release(),
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "is_root": os.geteuid() == 0,
        "systemd": Path("/run/systemd/system").is_dir(),
        "container": container(),
        "cpu": {"cores": len(os.sched_getaffinity(0)), "flags": cpu_flags()},
        "memory": memory_mb(),
        "file_systems": file_systems(asks["needed_mb"]),
        "listeners": listeners(asks["ports"]),
        "clock": {"epoch_s": time.time(), "service": time_service()},
        "gpu": gpu(),
        "packages": package_versions(asks["packages"]),
        "units": units(asks["units"]),
        "files": [path for path in asks["files"] if holds_something(Path(path))],
        "account": account(asks["user"]),
        "table": bool(asks["table"]) and asked("nft", "list", "table", *asks["table"].split()) is not None,
        "release": current_release(),
    }


def main() -> None:
    """Answer Ansible."""
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "int", "default": []},
            "needed_mb": {"type": "dict", "default": {}},
            "packages": {"type": "list", "elements": "str", "default": []},
            "units": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "list", "elements": "path", "default": []},
            "user": {"type": "str", "default": "root"},
            "table": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    module.exit_json(changed=False, ansible_facts={"voicectl_survey": survey(module.params)})


if __name__ == "__main__":
    main()
