"""What machine a run was generated on. Knows no server."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil

import voicectl
from voicectl.bench.generator.target import Target
from voicectl.bench.run_record import Environment

_CPUINFO: Final = Path("/proc/cpuinfo")


def environment_of(target: Target, said: Mapping[str, str]) -> Environment:
    """Describe this machine and the target; `said` is what the server said of itself in its calls."""
    return Environment(
        voicectl=voicectl.__version__,
        machine=f"{platform.system()} {platform.release()} {platform.machine()}",
        processor=_processor(),
        cores=usable_cores(),
        memory_bytes=psutil.virtual_memory().total,
        target=target.url,
        private=target.private,
        server={**said, **dict(target.server)},
    )


def usable_cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
