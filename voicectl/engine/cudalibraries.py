"""Make the CUDA libraries that came as Python packages loadable by name, as a toolkit's would be."""

import ctypes
import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

NAMES: Final = ("libcudart", "libnvrtc", "libcublasLt", "libcublas")
"""What llama.cpp is linked with, and what CTranslate2 and cuBLAS look for at their first use; each after its needs."""


def load_cuda_libraries(folders: Iterable[Path] | None = None) -> tuple[Path, ...]:
    """Load them for the whole process; return which. Nothing is done where none are installed.

    A library that is loaded already is taken whenever its name is asked for, so that nothing has to be told to the
    system's loader. `folders` are those of the packages, by default the installed ones. Raises OSError for a library
    that does not load.
    """
    found = tuple(_libraries(_installed() if folders is None else folders))
    for path in found:
        ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    return found


def _installed() -> Iterable[Path]:
    spec = importlib.util.find_spec("nvidia")
    return [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]


def _libraries(folders: Iterable[Path]) -> Iterator[Path]:
    places = [place for folder in folders for place in sorted(folder.glob("*/lib"))]
    for name in NAMES:
        for place in places:
            # Only the name that programs ask for: libcublas.so.12, not libcublas.so.12.9.
            yield from sorted(path for path in place.glob(f"{name}.so.*") if path.name.count(".") == 2)
