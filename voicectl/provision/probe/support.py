"""Print what support needs to know of this host: texts by name, compressed. Reads no key and no conversation."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
import zlib
from pathlib import Path

COMMANDS = {
    "service.txt": ("systemctl", "show", "voicectl.service", "voicectl-verify.timer", "voicectl-recover.service"),
    "unit.txt": ("systemctl", "cat", "voicectl.service"),
    "unit-status.txt": ("systemctl", "status", "--no-pager", "--lines=0", "voicectl.service"),
    "unit-security.txt": ("systemd-analyze", "security", "--no-pager", "voicectl.service"),
    "journal.txt": ("journalctl", "--no-pager", "--output=short-iso-precise", "--lines=5000", "--unit=voicectl*"),
    "kernel.txt": ("journalctl", "--no-pager", "--dmesg", "--lines=300"),
    "failed-units.txt": ("systemctl", "--no-pager", "--failed"),
    "firewall.txt": ("nft", "list", "ruleset"),
    "disks.txt": ("df", "-h", "-T"),
    "mounts.txt": ("findmnt", "--raw"),
    "sizes.txt": ("du", "-d", "2", "-h", "/opt/voicectl", "/var/lib/voicectl"),
    "memory.txt": ("cat", "/proc/meminfo"),
    "processes.txt": ("ps", "-eo", "pid,ppid,user,etime,rss,stat,comm", "--sort=-rss"),
    "sockets.txt": ("ss", "-ltn"),
    "gpu.txt": ("nvidia-smi",),
    "status.json": ("/usr/bin/python3", "-I", "/opt/voicectl/lib/release.pyz", "status"),
}
FILES = {
    "release-state.json": "/var/lib/voicectl/release/state.json",
    "release-journal.jsonl": "/var/lib/voicectl/release/journal.jsonl",
    "manifest.json": "/opt/voicectl/current/manifest.json",
    "host.yaml": "/etc/voicectl/host.yaml",
    "os-release.txt": "/etc/os-release",
    "apt-history.txt": "/var/log/apt/history.log",
}
FOLDERS = ("/etc/voicectl", "/opt/voicectl", "/var/lib/voicectl/release", "/var/lib/voicectl/models")
"""Folders that are listed: names, sizes and owners, no content."""
MAX_BYTES = 2_000_000
MAX_ENTRIES = 5_000
TIMEOUT_S = 30


def output_of(words: tuple[str, ...]) -> str:
    """Return what a program prints, or why it does not."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    try:
        told = subprocess.run(  # noqa: S603
            words,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"[not there: {error}]\n"
    return tail(told.stdout)


def tail(content: bytes) -> str:
    """Return the end of a text that may be too long."""
    cut = "[the beginning was left out]\n" if len(content) > MAX_BYTES else ""
    return cut + content[-MAX_BYTES:].decode("utf-8", "replace")


def file_text(path: str) -> str:
    """Return the end of a file, or why it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - MAX_BYTES))
            return tail(file.read())
    except OSError as error:
        return f"[not there: {error.strerror}]\n"


def listing() -> str:
    """Return mode, owner, size and path of what lies in our folders."""
    lines: list[str] = []
    for folder in FOLDERS:
        for place, names, files in os.walk(folder):
            if "site-packages" in names:
                names.remove("site-packages")
            for name in sorted(names + files):
                path = Path(place) / name
                try:
                    status = path.lstat()
                except OSError:
                    continue
                mode = stat.filemode(status.st_mode)
                owner = f"{status.st_uid}:{status.st_gid}"
                lines.append(f"{mode} {owner:>11} {status.st_size:>12} {path}")
                if len(lines) >= MAX_ENTRIES:
                    return "\n".join([*lines, "[more was left out]"]) + "\n"
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print all of it."""
    texts = {name: output_of(words) for name, words in COMMANDS.items()}
    texts.update({name: file_text(path) for name, path in FILES.items()})
    texts["files.txt"] = listing()
    # A log of megabytes is a hundredth of that when it is compressed, and results of tasks had better be small.
    sys.stdout.write(base64.b64encode(zlib.compress(json.dumps(texts).encode(), 9)).decode() + "\n")


if __name__ == "__main__":
    main()
