"""The operating systems a bundle can be made for, and what each needs from its own packages."""

from dataclasses import dataclass
from typing import Final

from voicectl.core.errors import UsageError

CPU_FLAGS: Final = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "sse4_2")
"""What x86-64-v3 asks for: the least processor that the wheels of a bundle run on, as in /proc/cpuinfo."""

DEFAULT_RELEASE: Final = "debian12"


@dataclass(frozen=True, slots=True)
class Target:
    """One release of an operating system.

    `python_full` is the oldest interpreter it ever came with, `glibc` the C library that programs there may ask for.
    """

    name: str
    os: str
    os_version: str
    codename: str
    arch: str
    deb_arch: str
    python_full: str
    glibc: tuple[int, int]
    packages: tuple[str, ...]

    @property
    def python(self) -> str:
        """Return the interpreter's major and minor version."""
        return self.python_full.rpartition(".")[0]

    @property
    def markers(self) -> dict[str, str]:
        """Return what the conditions of Python packages are decided by on such a host."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python_full,
            "os_name": "posix",
            "platform_machine": self.arch,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": self.python_full,
            "python_version": self.python,
            "sys_platform": "linux",
        }

    @property
    def platforms(self) -> tuple[str, ...]:
        """Return the platform tags of the wheels that run there, best first."""
        newest = self.glibc[1]
        numbered = [f"manylinux_2_{minor}_{self.arch}" for minor in range(newest, 4, -1)]
        named = [f"manylinux{year}_{self.arch}" for year in ("2014", "2010", "1")]
        return (*numbered, *named, f"linux_{self.arch}")


# python3 runs the release, libgomp1 and libstdc++6 are what native wheels leave to the system, nftables is the
# firewall, chrony keeps the time where no other service does. Every host of these releases has its /usr merged:
# without saying so, apt would add the program that merges it, and all of Perl.
_PACKAGES: Final = ("chrony", "libgomp1", "libstdc++6", "nftables", "python3", "usr-is-merged")

TARGETS: Final = {
    target.name: target
    for target in (
        Target("debian12", "debian", "12", "bookworm", "x86_64", "amd64", "3.11.2", (2, 36), _PACKAGES),
        Target("debian13", "debian", "13", "trixie", "x86_64", "amd64", "3.13.5", (2, 41), _PACKAGES),
    )
}


def find_target(name: str) -> Target:
    """Return the target of that name. Raises UsageError."""
    if name not in TARGETS:
        raise UsageError(f"no bundle can be made for {name!r}", hint=f"there are {', '.join(TARGETS)}")
    return TARGETS[name]
