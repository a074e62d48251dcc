"""Print what this host is as one JSON document. Reads only, decides nothing, needs nothing but Python 3.7.

Every value that cannot be found out is null: the controller decides what that means.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SCHEMA = 1
LISTENING = "0A"
FOLDERS = ("/opt", "/var/lib", "/root", "/etc", "/tmp")  # noqa: S108 - looked at, never written
TOOLS = ("systemctl", "apt-get", "dpkg", "nft", "journalctl", "systemd-analyze", "ssh-keygen", "nvidia-smi")
DPKG_LOCK = "/var/lib/dpkg/lock-frontend"
RELEASES = "/opt/voicectl/current"
STATE = "/var/lib/voicectl/release/state.json"
SETTINGS = "/opt/voicectl/current/system/install.json"
NVIDIA_VENDOR = "0x10de"
DISPLAY_CLASSES = ("0x0300", "0x0302")
COMMAND_TIMEOUT_S = 15


def read(path: str | Path) -> str | None:
    """Return the text of a file, None when it cannot be read."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def command(*words: str) -> str | None:
    """Return what a program prints, None when it is missing or fails."""
    try:
        told = subprocess.run(  # noqa: S603
            words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return told.stdout.decode(errors="replace").strip() if told.returncode == 0 else None


def system() -> dict[str, Any]:
    """Return the operating system."""
    names = {}
    for line in (read("/etc/os-release") or read("/usr/lib/os-release") or "").splitlines():
        key, _, value = line.partition("=")
        names[key] = value.strip().strip('"')
    kernel = os.uname()
    return {
        "id": names.get("ID"),
        "version": names.get("VERSION_ID"),
        "pretty": names.get("PRETTY_NAME"),
        "arch": kernel.machine,
        "kernel": kernel.release,
        "hostname": kernel.nodename,
        "init": (read("/proc/1/comm") or "").strip() or None,
        "has_systemd": Path("/run/systemd/system").is_dir(),
        "systemd": systemd_version(),
    }


def systemd_version() -> int | None:
    """Return the number of systemd's version."""
    first = (command("systemctl", "--version") or "").split()
    return int(first[1]) if len(first) > 1 and first[1].isdigit() else None


def container() -> str | None:
    """Return the kind of container this is, None on a machine of its own."""
    for path in ("/run/systemd/container", "/run/host/container-manager"):
        kind = (read(path) or "").strip()
        if kind:
            return kind
    for entry in (read("/proc/1/environ") or "").split("\0"):
        if entry.startswith("container="):
            return entry.partition("=")[2] or "unknown"
    if Path("/.dockerenv").exists():
        return "docker"
    return "podman" if Path("/run/.containerenv").exists() else None


def processor() -> dict[str, Any]:
    """Return the processor's model, flags, and how many of its cores we may use."""
    flags: list[str] = []
    model = None
    for line in (read("/proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features") and not flags:
            flags = sorted(value.split())
        if key.strip() == "model name" and model is None:
            model = value.strip()
    return {"model": model, "flags": flags, "cores": len(os.sched_getaffinity(0))}


def memory() -> dict[str, int | None]:
    """Return total and available memory and swap, bytes; the limit of our control group where there is one."""
    sizes = {}
    for line in (read("/proc/meminfo") or "").splitlines():
        key, _, value = line.partition(":")
        if value.strip().endswith("kB"):
            sizes[key] = int(value.split()[0]) * 1024
    limit = (read("/sys/fs/cgroup/memory.max") or "").strip()
    return {
        "total_bytes": sizes.get("MemTotal"),
        "available_bytes": sizes.get("MemAvailable"),
        "swap_bytes": sizes.get("SwapTotal"),
        "limit_bytes": int(limit) if limit.isdigit() else None,
    }


def disks() -> dict[str, dict[str, Any]]:
    """Return free space of the folders we place things in, with the file system that each lies on."""
    mounts = mount_options()
    found = {}
    for folder in FOLDERS:
        try:
            sizes, device = os.statvfs(folder), Path(folder).stat().st_dev
        except OSError:
            continue
        options = mounts.get(mount_of(folder, mounts), [])
        found[folder] = {
            "device": device,
            "free_bytes": sizes.f_bavail * sizes.f_frsize,
            "free_inodes": sizes.f_favail if sizes.f_files else None,
            "read_only": "ro" in options,
            "noexec": "noexec" in options,
        }
    return found


def mount_options() -> dict[str, list[str]]:
    """Return the options of every mount point; the last mount on a point counts."""
    mounts = {}
    for line in (read("/proc/self/mounts") or "").splitlines():
        words = line.split()
        if len(words) > 3:
            mounts[words[1]] = words[3].split(",")
    return mounts


def mount_of(folder: str, mounts: dict[str, list[str]]) -> str:
    """Return the mount point that a folder lies on."""
    while folder not in mounts and folder != "/":
        folder = str(Path(folder).parent)
    return folder


def listeners() -> list[dict[str, Any]]:
    """Return the listening TCP sockets with the program behind each, where root may see it."""
    sockets = []
    for path, family in (("/proc/net/tcp", socket.AF_INET), ("/proc/net/tcp6", socket.AF_INET6)):
        for line in (read(path) or "").splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == LISTENING:
                place, _, number = words[1].partition(":")
                sockets.append((plain_address(place, family), int(number, 16), words[9]))
    owners = socket_owners({inode for _, _, inode in sockets})
    found = []
    for address, port, inode in sorted(sockets):
        program, unit = owners.get(inode, (None, None))
        found.append({"address": address, "port": port, "program": program, "unit": unit})
    return found


def plain_address(text: str, family: int) -> str:
    """Return an address of /proc/net as people write it: words of four bytes in the processor's own order."""
    words = [struct.pack("=I", int(text[at : at + 8], 16)) for at in range(0, len(text), 8)]
    return socket.inet_ntop(family, b"".join(words))


def socket_owners(inodes: set[str]) -> dict[str, tuple[str | None, str | None]]:
    """Return program and systemd unit by the inode of a socket."""
    owners: dict[str, tuple[str | None, str | None]] = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for link in (place / "fd").iterdir():
                target = os.readlink(link)  # noqa: PTH115 - Path.readlink is of Python 3.9
                inode = target[8:-1] if target.startswith("socket:[") else ""
                if inode in inodes and inode not in owners:
                    group = (read(place / "cgroup") or "").strip().rpartition("/")[2]
                    owners[inode] = ((read(place / "comm") or "").strip() or None, group or None)
    return owners


def gpus() -> dict[str, Any]:
    """Return the NVIDIA cards on the bus, the driver, and what stands in its way."""
    cards = []
    for place in sorted(Path("/sys/bus/pci/devices").glob("*")):
        kind = (read(place / "class") or "")[:6]
        if (read(place / "vendor") or "").strip() == NVIDIA_VENDOR and kind in DISPLAY_CLASSES:
            cards.append({"slot": place.name, "device": (read(place / "device") or "").strip()})
    modules = {line.split()[0] for line in (read("/proc/modules") or "").splitlines() if line}
    version = read("/proc/driver/nvidia/version")
    return {
        "cards": cards,
        "names": gpu_names(),
        "driver": driver_version(version),
        "nouveau": "nouveau" in modules,
        "nodes": sorted(str(node) for node in Path("/dev").glob("nvidia*")),
    }


def gpu_names() -> list[dict[str, Any]]:
    """Return name and memory of each card as its driver tells them."""
    told = command("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
    names = []
    for line in (told or "").splitlines():
        name, _, size = line.rpartition(",")
        if size.strip().isdigit():
            names.append({"name": name.strip(), "memory_bytes": int(size) * 1024 * 1024})
    return names


def driver_version(text: str | None) -> str | None:
    """Return the number in the first line of the driver's version file."""
    for word in (text or "").split():
        if word[:1].isdigit() and word.count(".") >= 1 and all(part.isdigit() for part in word.split(".")):
            return word
    return None


def audio() -> list[str]:
    """Return the names of sound cards."""
    cards = read("/proc/asound/cards") or ""
    return [line.split("]:", 1)[1].strip() for line in cards.splitlines() if "]:" in line]


def packages() -> dict[str, bool | None]:
    """Return whether another program is installing packages, and whether an earlier one was broken off."""
    locked = None
    if os.geteuid() == 0 and Path(DPKG_LOCK).exists():
        locked = False
        try:
            with Path(DPKG_LOCK).open("rb+") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            locked = True
    audit = command("dpkg", "--audit")
    return {"locked": locked, "broken": None if audit is None else bool(audit)}


def installed() -> dict[str, Any]:
    """Return the release that is active here and its settings, None where voicectl was never installed."""
    try:
        release: str | None = Path(os.readlink(RELEASES)).name  # noqa: PTH115 - Path.readlink is of Python 3.9
    except OSError:
        release = None
    return {"release": release, "state": document(STATE), "settings": document(SETTINGS)}


def document(path: str) -> dict[str, Any] | None:
    """Return the JSON object in a file, None when there is none."""
    try:
        content = json.loads(read(path) or "null")
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def clock() -> dict[str, Any]:
    """Return the time of day, and whether something keeps it right."""
    synchronized = command("timedatectl", "show", "--property=NTPSynchronized", "--value")
    return {"now": time.time(), "synchronized": {"yes": True, "no": False}.get(synchronized or "")}


def main() -> None:
    """Print all of it."""
    facts = {
        "schema": SCHEMA,
        "python": ".".join(map(str, sys.version_info[:3])),
        "euid": os.geteuid(),
        "system": system(),
        "container": container(),
        "cpu": processor(),
        "memory": memory(),
        "disks": disks(),
        "listeners": listeners(),
        "clock": clock(),
        "gpu": gpus(),
        "audio": audio(),
        "packages": packages(),
        "installed": installed(),
        "tools": {tool: shutil.which(tool) is not None for tool in TOOLS},
    }
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main()
