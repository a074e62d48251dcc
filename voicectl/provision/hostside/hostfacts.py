"""What kind of host this is: system, architecture, instructions of its processor."""

import os
import platform
import shlex
import sys
from dataclasses import dataclass

from .layout import Layout


@dataclass(frozen=True, slots=True)
class HostFacts:
    """A host as a manifest's `compatible` describes it; `cpu_flags` is None where the kernel tells none."""

    os: str
    os_version: str
    arch: str
    python: str
    cpu_flags: frozenset[str] | None


def host_facts(layout: Layout) -> HostFacts:
    """Return what this host is."""
    release = _os_release(layout)
    return HostFacts(
        os=release.get("ID", "unknown"),
        os_version=release.get("VERSION_ID", "unknown"),
        arch=platform.machine() or os.uname().machine,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        cpu_flags=_cpu_flags(layout),
    )


def _os_release(layout: Layout) -> dict[str, str]:
    try:
        text = (layout.root / "etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): " ".join(shlex.split(value)) for key, value in pairs}


def _cpu_flags(layout: Layout) -> frozenset[str] | None:
    try:
        text = (layout.root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return None
