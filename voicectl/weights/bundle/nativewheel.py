"""Compile llama-cpp-python for other machines: no instruction of this host's processor, no path of its disk."""

import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from voicectl.core.errors import ConfigError
from voicectl.weights.bundle.programs import BuildFailed, run
from voicectl.weights.bundle.requirements import Requirement, Wheel, read_requirements
from voicectl.weights.bundle.targets import Target
from voicectl.weights.bundle.wheels import (
    BUILD_LOCK,
    RUNTIME_LOCK,
    BuildTools,
    build_wheel,
    only_wheel,
    pip_download,
)

PACKAGE: Final = "llama-cpp-python"
INCLUDE: Final = "cmake/llama_portable.cmake"
LIBRARY_ONLY: Final = "cmake/llama_library_only.cmake"
FLAGS: Final = (
    "-DGGML_NATIVE=OFF",
    "-DGGML_SSE42=ON",
    "-DGGML_AVX=ON",
    "-DGGML_AVX2=ON",
    "-DGGML_FMA=ON",
    "-DGGML_F16C=ON",
    "-DGGML_BMI2=ON",
    # scripts/install.sh tells why there is no AMX.
    "-DCMAKE_C_FLAGS=-U__AMX_INT8__",
    "-DCMAKE_CXX_FLAGS=-U__AMX_INT8__",
    "-DLLAVA_BUILD=OFF",
    "-DLLAMA_BUILD_TOOLS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_SERVER=OFF",
)
CUDA_FLAGS: Final = ("-DGGML_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=75-real;80-real;86-real;89-real;90-real;90-virtual")
"""From Turing to Hopper by machine code; newer ones compile the last at their first start."""
SETTINGS: Final = ("wheel.exclude=lib/**;include/**",)
"""Headers and a second copy of the libraries, which would land beside all packages."""
LEAST_DRIVERS: Final = {"12": "525.60.13", "13": "580.65.06"}
"""The oldest driver that runs programs of each major version of CUDA (NVIDIA: CUDA compatibility)."""
_GLIBC: Final = re.compile(rb"GLIBC_(\d+)\.(\d+)\0")


class NativeWheel:
    """The wheel for one target, kept in `cache` under its version and recipe."""

    def __init__(self, source: Path, target: Target, tools: BuildTools, cache: Path, *, cuda: bool) -> None:
        self._source = source
        self._target = target
        self._tools = tools
        self._flags = (*FLAGS, *(CUDA_FLAGS if cuda else ()))
        self._cuda = cuda
        self._pin = _pin(source / RUNTIME_LOCK)
        self._folder = cache / f"llama-{self._pin.version}-{target.arch}-{self._recipe()}"

    @property
    def is_here(self) -> bool:
        """Tell whether it was compiled already."""
        return self._folder.is_dir()

    def wheel(self) -> Wheel:
        """Return the wheel, compiled now if it is not here. Raises BuildFailed.

        Raises ConfigError when this host's C library is newer than the target's.
        """
        if not self.is_here:
            self._compile()
        wheel = only_wheel(self._folder)
        newest = max(glibc_needs(wheel.path), default=(2, 0))
        if newest > self._target.glibc:
            raise ConfigError(
                f"{wheel.path.name}: needs glibc {newest[0]}.{newest[1]}, {self._target.name} has "
                f"{self._target.glibc[0]}.{self._target.glibc[1]}",
                hint=f"build the bundle on {self._target.name}",
            )
        return wheel

    def _recipe(self) -> str:
        compilers = ["c++"] + (["nvcc"] if self._cuda else [])
        pieces = [
            *[flag.encode() for flag in (*self._flags, *SETTINGS)],
            *[(self._source / name).read_bytes() for name in (INCLUDE, LIBRARY_ONLY, BUILD_LOCK)],
            *[run([compiler, "--version"], doing="looking for a compiler").encode() for compiler in compilers],
            *sorted(digest.encode() for digest in self._pin.digests),
        ]
        return hashlib.sha256(b"\0".join(pieces)).hexdigest()[:12]

    def _compile(self) -> None:
        fresh = self._folder.with_name(f"{self._folder.name}.part")
        shutil.rmtree(fresh, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="voicectl-llama-") as scratch:
            pip_download(self._tools, [self._pin], Path(scratch), ["--no-binary=:all:", "--no-build-isolation"])
            archives = list(Path(scratch).glob("*.tar.gz"))
            if len(archives) != 1:
                raise BuildFailed(f"{PACKAGE}: pip left {len(archives)} archives of its source, not one")
            arguments = [f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={self._source / INCLUDE}", *self._flags]
            build_wheel(
                self._tools,
                archives[0],
                fresh,
                doing=f"compiling {PACKAGE}",
                # CMake splits at spaces; a list keeps its semicolons.
                environment={"CMAKE_ARGS": " ".join(arguments)},
                settings=SETTINGS,
            )
        fresh.replace(self._folder)


def glibc_needs(wheel: Path) -> Iterator[tuple[int, int]]:
    """Yield the versions of the C library that the libraries in a wheel ask for."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if ".so" in name:
                for match in _GLIBC.finditer(archive.read(name)):
                    yield int(match[1]), int(match[2])


def cuda_release(text: str) -> str:
    """Return the CUDA version that `nvcc --version` tells. Raises ConfigError."""
    match = re.search(r"release (\d+\.\d+)", text)
    if match is None:
        raise ConfigError(f"nvcc does not tell its version: {text.strip()[:200]!r}")
    return match[1]


def least_driver(cuda: str) -> str:
    """Return the oldest driver for programs of that CUDA version. Raises ConfigError for a version not known here."""
    major = cuda.partition(".")[0]
    if major not in LEAST_DRIVERS:
        raise ConfigError(
            f"CUDA {cuda} is not known to this voicectl", hint=f"build with CUDA {' or '.join(LEAST_DRIVERS)}"
        )
    return LEAST_DRIVERS[major]


def _pin(lock: Path) -> Requirement:
    for pin in read_requirements(lock):
        if pin.name == PACKAGE:
            return pin
    raise ConfigError(f"{lock}: does not name {PACKAGE}", hint="make lock")
