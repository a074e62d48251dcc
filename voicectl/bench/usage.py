"""What processes cost, read from /proc: processor time, memory, open files. Knows no call."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

PROC: Final = Path("/proc")
_LIBRARIES: Final = {"stt": "ctranslate2", "llm": "libllama", "tts": "espeak"}
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """A process at one moment. `cpu_s` counts from its start."""

    pid: int
    parent: int
    name: str
    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process took over a while: processor seconds a second, and its memory at the end."""

    name: str
    cores: float
    rss_bytes: int


def usage_of(pid: int, proc: Path = PROC) -> Usage | None:
    """Return what a process has used so far; None when it is gone."""
    try:
        stat = (proc / str(pid) / "stat").read_text()
        name = _name(proc / str(pid), stat)
    except OSError:
        return None
    # The name stands in brackets and may itself hold blanks and brackets.
    fields = stat.rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return Usage(pid, int(fields[1]), name, ticks / _TICKS, int(fields[21]) * _PAGE_BYTES)


def family(pid: int, proc: Path = PROC) -> dict[int, Usage]:
    """Return a process and all that descend from it, by pid."""
    everyone = [usage for path in proc.glob("[0-9]*") if (usage := usage_of(int(path.name), proc)) is not None]
    known = {usage.pid: usage for usage in everyone if usage.pid == pid}
    found = True
    while found:
        found = False
        for usage in everyone:
            if usage.parent in known and usage.pid not in known:
                known[usage.pid] = usage
                found = True
    return known


def spent_between(before: Mapping[int, Usage], after: Iterable[Usage], seconds: float) -> list[Spent]:
    """Return what processes took in between, the hungriest first; one that came in between counts whole.

    Processes of one name, such as a worker and its spare, are one.
    """
    cpu_s: dict[str, float] = {}
    rss_bytes: dict[str, int] = {}
    for usage in after:
        earlier = before.get(usage.pid)
        cpu_s[usage.name] = cpu_s.get(usage.name, 0.0) + usage.cpu_s - (earlier.cpu_s if earlier else 0.0)
        rss_bytes[usage.name] = rss_bytes.get(usage.name, 0) + usage.rss_bytes
    spent = [Spent(name, used_s / seconds, rss_bytes[name]) for name, used_s in cpu_s.items()]
    return sorted(spent, key=lambda one: -one.cores)


def busiest(processes: Iterable[Usage], stage: str) -> Usage | None:
    """Return the worker that serves a stage: of several, the one that has worked most, the others being spares."""
    hosts = [usage for usage in processes if stage in usage.name.split("+")]
    return max(hosts, key=lambda usage: usage.cpu_s, default=None)


def machine_busy_s(proc: Path = PROC) -> float:
    """Return the processor seconds that everything on this machine has used since it started."""
    fields = [int(field) for field in (proc / "stat").read_text().split("\n", 1)[0].split()[1:]]
    # user, nice, system, idle, iowait, irq, softirq, steal; what guests use is part of user.
    return (sum(fields[:3]) + sum(fields[5:8])) / _TICKS


def own_s() -> float:
    """Return the processor seconds of this process and its children, ended ones included."""
    spent = os.times()
    live = sum(usage.cpu_s for pid, usage in family(os.getpid()).items() if pid != os.getpid())
    return spent.user + spent.system + spent.children_user + spent.children_system + live


class Stolen:
    """What a hypervisor gives to other machines of the processor time that this one asks for, from now on."""

    def __init__(self) -> None:
        self._began: Final = _stolen_and_wanted_s()

    def share(self) -> float:
        """Return the part of it, 0 to 1; 0 where the system does not tell."""
        stolen_s, wanted_s = (now - then for now, then in zip(_stolen_and_wanted_s(), self._began, strict=True))
        return max(0.0, stolen_s) / wanted_s if wanted_s > 0 else 0.0


def _stolen_and_wanted_s() -> tuple[float, float]:
    times = psutil.cpu_times()
    stolen_s = float(getattr(times, "steal", 0.0))
    worked_s = sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))
    return stolen_s, worked_s + stolen_s


class Others:
    """What everything but this process and its children takes of the machine, from now on."""

    def __init__(self) -> None:
        self._began_at, self._busy_s, self._own_s = time.monotonic(), machine_busy_s(), own_s()

    def cores(self) -> float:
        """Return the processor seconds that others took, a second."""
        passed_s = max(1e-3, time.monotonic() - self._began_at)
        return max(0.0, machine_busy_s() - self._busy_s - (own_s() - self._own_s)) / passed_s


def open_files(pid: int, proc: Path = PROC) -> int:
    """Return how many files and sockets a process holds open."""
    return len(list((proc / str(pid) / "fd").iterdir()))


def _name(folder: Path, stat: str) -> str:
    """Name a process by what it does: a worker by the models it hosts, another by its program."""
    words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    if "serve" in words:
        return "gateway"
    if "voicectl.engine.worker" in words:
        # A worker is told its stages on a pipe; which libraries it has mapped shows them from outside.
        mapped = (folder / "maps").read_text(errors="replace")
        hosted = [stage for stage, library in _LIBRARIES.items() if library in mapped]
        return "+".join(hosted) or ("turn" if "onnxruntime" in mapped else "worker")
    return stat.partition("(")[2].rpartition(")")[0]
