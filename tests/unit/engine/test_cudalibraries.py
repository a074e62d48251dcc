"""Tests of loading CUDA libraries from where Python packages put them; small libraries stand for them."""

import subprocess
import sys
from pathlib import Path

from voicectl.engine.cudalibraries import load_cuda_libraries

ASK = """
import ctypes, pathlib, sys
from voicectl.engine.cudalibraries import load_cuda_libraries
loaded = load_cuda_libraries([pathlib.Path(sys.argv[1])])
print(*[path.name for path in loaded])
print(ctypes.CDLL("libcublas.so.12").answer())
"""


def library(path: Path, source: str, *needs: Path) -> Path:
    """Compile a library whose name is that of its file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = path.parent / "source.c"
    code.write_text(source)
    command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{path.name}", "-o", path, code, *needs]
    subprocess.run(command, check=True)
    return path


def test_libraries_are_found_by_name_once_loaded(tmp_path: Path) -> None:
    light = library(tmp_path / "cublas/lib/libcublasLt.so.12", "int base(void) { return 40; }")
    library(tmp_path / "cublas/lib/libcublas.so.12", "int base(void); int answer(void) { return base() + 2; }", light)
    library(tmp_path / "cuda_runtime/lib/libcudart.so.12", "int runtime(void) { return 1; }")
    (tmp_path / "cublas/lib/libcublas.so.12.9").write_text("not the name that programs ask for")
    asked = subprocess.run([sys.executable, "-c", ASK, tmp_path], capture_output=True, text=True, check=True)
    assert asked.stdout.split("\n")[:2] == ["libcudart.so.12 libcublasLt.so.12 libcublas.so.12", "42"]


def test_nothing_is_loaded_where_nothing_is_installed(tmp_path: Path) -> None:
    assert load_cuda_libraries([tmp_path]) == ()
