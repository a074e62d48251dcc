"""Compile llama-cpp-python for other machines: no instruction of this host's processor, no path of its disk."""

import hashlib
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from voicectl.core.errors import ConfigError
from voicectl.weights.bundle.cuda import CUDA_FLAGS, Cuda, cublas_arguments
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
SETTINGS: Final = ("wheel.exclude=lib/**;include/**",)
"""Headers and a second copy of the libraries, which would land beside all packages."""
_GLIBC: Final = re.compile(rb"GLIBC_(\d+)\.(\d+)\0")


class NativeWheel:
    """The wheel for one target, kept in `cache` under its version and recipe.

    With `cuda` it also computes on GPUs; `libraries` are the wheels that its own CUDA libraries come in.
    """

    def __init__(
        self,
        source: Path,
        target: Target,
        tools: BuildTools,
        cache: Path,
        *,
        cuda: Cuda | None,
        libraries: Sequence[Wheel],
    ) -> None:
        self._source = source
        self._target = target
        self._tools = tools
        self._flags = (*FLAGS, *(CUDA_FLAGS if cuda else ()))
        self._cuda = cuda
        self._libraries = libraries
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
            *[(self._source / name).read_bytes() for name in self._files()],
            *[run([compiler, "--version"], doing="looking for a compiler").encode() for compiler in compilers],
            *sorted(digest.encode() for digest in self._pin.digests),
        ]
        return hashlib.sha256(b"\0".join(pieces)).hexdigest()[:12]

    def _files(self) -> tuple[str, ...]:
        """Return the files of the checkout that decide what is compiled."""
        return (INCLUDE, LIBRARY_ONLY, BUILD_LOCK, *([self._cuda.lock] if self._cuda else []))

    def _compile(self) -> None:
        fresh = self._folder.with_name(f"{self._folder.name}.part")
        shutil.rmtree(fresh, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix="voicectl-llama-") as scratch:
            pip_download(self._tools, [self._pin], Path(scratch), ["--no-binary=:all:", "--no-build-isolation"])
            archives = list(Path(scratch).glob("*.tar.gz"))
            if len(archives) != 1:
                raise BuildFailed(f"{PACKAGE}: pip left {len(archives)} archives of its source, not one")
            arguments = [f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={self._source / INCLUDE}", *self._flags]
            if self._cuda is not None:
                arguments += cublas_arguments(self._cuda, self._libraries, Path(scratch) / "cublas")
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


def _pin(lock: Path) -> Requirement:
    for pin in read_requirements(lock):
        if pin.name == PACKAGE:
            return pin
    raise ConfigError(f"{lock}: does not name {PACKAGE}", hint="make lock")
