"""What a host has to be for a release: read from a bundle's manifest and a profile by who has them. Decides nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

SUPPORTED_SYSTEMS: Final = (("debian", "12"), ("debian", "13"))
SUPPORTED_ARCHITECTURE: Final = "x86_64"
LEAST_PYTHON: Final = "3.11"
PORTABLE_FLAGS: Final = ("avx2", "f16c", "fma")
DEFAULT_PORT: Final = 8080
GATE_PORT: Final = 18080
EARLIEST_CLOCK: Final = 1_793_491_200.0
"""2026-11-01, before which this voicectl did not exist: no clock can be right that says less."""


@dataclass(frozen=True, slots=True)
class GpuNeeds:
    """The cards of a profile. `min_driver` and `cuda` are None when nothing says them."""

    model: str | None = None
    memory_bytes: int = 0
    min_driver: str | None = None


@dataclass(frozen=True, slots=True)
class ReleaseNeeds:
    """The release that is to be installed, and from what it may be reached."""

    release_id: str
    version: str
    serial: int
    min_from_version: str | None = None
    allow_downgrade: bool = False


@dataclass(frozen=True, slots=True)
class Needs:
    """Everything a host is measured by. `disk_bytes` is what each folder has to take in; 0 asks for nothing."""

    profile: str = "cpu"
    systems: tuple[tuple[str, str], ...] = SUPPORTED_SYSTEMS
    arch: str = SUPPORTED_ARCHITECTURE
    python: str = LEAST_PYTHON
    exact_python: bool = False
    """Whether compiled packages are for this Python and no newer one."""
    cpu_flags: tuple[str, ...] = PORTABLE_FLAGS
    cores: int = 2
    memory_bytes: int = 0
    disk_bytes: Mapping[str, int] = field(default_factory=dict)
    bind_host: str = "0.0.0.0"  # noqa: S104 - the widest address, for which any listener is in the way
    port: int = DEFAULT_PORT
    gpu: GpuNeeds | None = None
    release: ReleaseNeeds | None = None
    as_root: bool = True
    must_be_installed: bool = False


def disk_needs(files: Mapping[str, int]) -> dict[str, int]:
    """Return the bytes that the files of a bundle take in each folder of a host, by path and size in the bundle.

    Weights are copied once and kept by digest; wheels unpack to four times their size, and packages to as much
    below /usr. What is on its way lies in the home of root until it is in place.
    """
    weights = sum(size for path, size in files.items() if path.startswith("blobs/"))
    wheels = sum(size for path, size in files.items() if path.startswith("wheels/"))
    debs = sum(size for path, size in files.items() if path.startswith("debs/"))
    return {"/var/lib": weights + debs, "/opt": 5 * wheels + 4 * debs, "/root": sum(files.values())}
