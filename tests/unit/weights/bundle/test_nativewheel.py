"""Tests of what compiled wheels ask of a host."""

import zipfile
from pathlib import Path

import pytest

from voicectl.core.errors import ConfigError
from voicectl.weights.bundle.nativewheel import CUDA_FLAGS, FLAGS, cuda_release, glibc_needs, least_driver


def test_needs_are_those_of_the_libraries_alone(tmp_path: Path) -> None:
    path = tmp_path / "tiny-1.0-py3-none-linux_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/libtiny.so.0", b"\0GLIBC_2.17\0GLIBC_2.34\0GLIBCXX_3.4.30\0")
        archive.writestr("tiny/readme.txt", b"\0GLIBC_2.99\0")
    assert sorted(glibc_needs(path)) == [(2, 17), (2, 34)]


def test_no_flag_asks_for_the_processor_of_the_building_host() -> None:
    text = " ".join((*FLAGS, *CUDA_FLAGS))
    assert "GGML_NATIVE=OFF" in text
    assert "native" not in text.replace("GGML_NATIVE=OFF", "")
    assert all(" " not in flag for flag in (*FLAGS, *CUDA_FLAGS))


def test_driver_that_a_bundle_needs_follows_from_the_compiler() -> None:
    text = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 12.8, V12.8.93\n"
    assert cuda_release(text) == "12.8"
    assert least_driver("12.8") == "525.60.13"
    assert least_driver("13.0") == "580.65.06"


def test_compiler_of_an_unknown_cuda_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not tell its version"):
        cuda_release("command not found")
    with pytest.raises(ConfigError, match=r"CUDA 14\.1 is not known"):
        least_driver("14.1")
