"""What a bundle of GPU profiles needs more: a compiler for GPUs, the CUDA libraries of its release, a driver."""

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.version import Version

from voicectl.core.errors import ConfigError
from voicectl.weights.bundle.programs import BuildFailed, run
from voicectl.weights.bundle.requirements import Wheel

CUDA_FLAGS: Final = (
    "-DGGML_CUDA=ON",
    # From Turing to Hopper by machine code; newer ones compile the last at their first start.
    "-DCMAKE_CUDA_ARCHITECTURES=75-real;80-real;86-real;89-real;90-real;90-virtual",
    # Without this the library does not load on a host without a driver, not even to compute on its processor.
    "-DGGML_CUDA_NO_VMM=ON",
)
LEAST_DRIVERS: Final = {"12": "525.60.13", "13": "580.65.06"}
"""The oldest driver that runs programs of each major version of CUDA (NVIDIA: CUDA compatibility)."""
_CUBLAS: Final = {"12": ("nvidia-cublas-cu12", "nvidia/cublas"), "13": ("nvidia-cublas", "nvidia/cu13")}
"""The package of cuBLAS for each major version, and its folder within."""
DRIVER: Final = "nvidia-kernel-dkms"
"""The package that the driver's version is read from."""
DRIVER_PACKAGES: Final = (
    DRIVER,
    "libcuda1",
    "libnvidia-ptxjitcompiler1",
    "nvidia-smi",
    "nvidia-modprobe",
    "nvidia-persistenced",
)


@dataclass(frozen=True, slots=True)
class Cuda:
    """A release of CUDA that this voicectl can build with, such as 13.0."""

    release: str

    @property
    def major(self) -> str:
        """Return its major version."""
        return self.release.partition(".")[0]

    @property
    def least_driver(self) -> str:
        """Return the oldest driver for programs of it."""
        return LEAST_DRIVERS[self.major]

    @property
    def lock(self) -> str:
        """Return the name of the lock file of the libraries that its programs load."""
        return f"requirements-cuda{self.major}.lock"


def find_cuda() -> Cuda:
    """Return the CUDA of this machine's compiler. Raises BuildFailed without one, ConfigError for an unknown one."""
    return parse_cuda(run(["nvcc", "--version"], doing="looking for the CUDA compiler"))


def parse_cuda(text: str) -> Cuda:
    """Return the CUDA that `nvcc --version` tells. Raises ConfigError."""
    match = re.search(r"release (\d+\.\d+)", text)
    if match is None:
        raise ConfigError(f"nvcc does not tell its version: {text.strip()[:200]!r}")
    cuda = Cuda(match[1])
    if cuda.major not in LEAST_DRIVERS:
        raise ConfigError(
            f"CUDA {cuda.release} is not known to this voicectl", hint=f"build with CUDA {' or '.join(LEAST_DRIVERS)}"
        )
    return cuda


def driver_packages(kernels: Sequence[str]) -> tuple[str, ...]:
    """Return the Debian packages of the driver, and what it is built with for each of these kernels."""
    return (*DRIVER_PACKAGES, *[f"linux-headers-{kernel}" for kernel in kernels])


def check_driver(cuda: Cuda, debs: Sequence[str]) -> None:
    """Compare the driver among these package files with what programs of `cuda` ask for. Raises ConfigError."""
    name = next((name for name in debs if name.startswith(f"{DRIVER}_")), None)
    if name is None:
        raise ConfigError(f"the package sources have no {DRIVER}", hint="add Debian's non-free with --apt-sources")
    version = name.split("_")[1].rpartition("-")[0].rpartition(":")[2]
    if Version(version) < Version(cuda.least_driver):
        raise ConfigError(
            f"the driver of the package sources is {version}, CUDA {cuda.release} needs {cuda.least_driver} or newer",
            hint="build with an older CUDA, or name sources of a newer driver with --apt-sources",
        )


def cublas_arguments(cuda: Cuda, libraries: Sequence[Wheel], folder: Path) -> list[str]:
    """Unpack cuBLAS into `folder`; return what makes CMake compile against it, and not against this machine's own.

    Raises BuildFailed when no wheel of `libraries` holds it.
    """
    package, place = _CUBLAS[cuda.major]
    wheel = next((wheel for wheel in libraries if wheel.name == package), None)
    if wheel is None:
        raise BuildFailed(f"{cuda.lock}: does not name {package}", hint="make lock")
    with zipfile.ZipFile(wheel.path) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(f"{place}/")])
    found = folder / place
    return [
        *[f"-DCUDA_{name}_LIBRARY={found / 'lib'}/lib{name}.so.{cuda.major}" for name in ("cublas", "cublasLt")],
        f"-DCMAKE_CUDA_FLAGS=-I{found / 'include'}",
    ]
