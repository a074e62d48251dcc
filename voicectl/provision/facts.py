"""What is known of a host: the document of the fact collector, typed. None is what could not be found out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from voicectl.provision.probe import collect

COLLECTOR: Final = Path(collect.__file__)
"""The program that runs on a host."""


class FactsUnreadable(ValueError):
    """What came back from a host is not the collector's document."""


@dataclass(frozen=True, slots=True)
class System:
    """Operating system; `init` is the program with process number 1."""

    id: str | None = None
    version: str | None = None
    pretty: str | None = None
    arch: str | None = None
    kernel: str | None = None
    hostname: str | None = None
    init: str | None = None
    has_systemd: bool = False
    systemd: int | None = None


@dataclass(frozen=True, slots=True)
class Cpu:
    """Processor."""

    model: str | None = None
    flags: frozenset[str] = frozenset()
    cores: int | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory; `limit_bytes` is that of the control group."""

    total_bytes: int | None = None
    available_bytes: int | None = None
    swap_bytes: int | None = None
    limit_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system below a folder; folders with the same `device` share its room."""

    device: int
    free_bytes: int
    free_inodes: int | None = None
    read_only: bool = False
    noexec: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening TCP socket, and whose it is where that can be seen."""

    address: str
    port: int
    program: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """Time of day, seconds since 1970, UTC."""

    now: float
    synchronized: bool | None = None


@dataclass(frozen=True, slots=True)
class GpuName:
    """A card as its driver tells it."""

    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Gpu:
    """NVIDIA cards on the bus, their driver, and what is in its way."""

    cards: tuple[Mapping[str, str], ...] = ()
    names: tuple[GpuName, ...] = ()
    driver: str | None = None
    nouveau: bool = False
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Packages:
    """The package manager: busy with something else, or broken off before its end."""

    locked: bool | None = None
    broken: bool | None = None


@dataclass(frozen=True, slots=True)
class Installed:
    """The release that is active, and the document of the host's own release program."""

    release: str | None = None
    state: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] | None = None
    """What the operator has said for this host: profile, address, port, networks, keys of the profile."""

    def active(self) -> Mapping[str, Any]:
        """Return what the host remembers of its active release; empty when there is none."""
        state = self.state or {}
        releases = state.get("releases")
        entry = releases.get(state.get("active")) if isinstance(releases, dict) else None
        return entry if isinstance(entry, dict) else {}


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is known of one host."""

    python: str
    euid: int
    clock: Clock
    system: System = System()
    cpu: Cpu = Cpu()
    memory: Memory = Memory()
    gpu: Gpu = Gpu()
    packages: Packages = Packages()
    installed: Installed = Installed()
    disks: Mapping[str, Disk] = field(default_factory=dict)
    listeners: tuple[Listener, ...] = ()
    audio: tuple[str, ...] = ()
    tools: Mapping[str, bool] = field(default_factory=dict)
    container: str | None = None


def parse_facts(text: str) -> Facts:
    """Return the facts that the collector printed. Raises FactsUnreadable."""
    # A login script may print a greeting before the document.
    start = text.find('{"schema"')
    try:
        return msgspec.json.decode(text[max(start, 0) :].strip().encode(), type=Facts)
    except msgspec.MsgspecError as error:
        raise FactsUnreadable(f"the host's answer cannot be read: {error}") from error
