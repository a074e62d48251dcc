"""Tests of what compiled wheels ask of a host."""

import zipfile
from pathlib import Path

from voicectl.weights.bundle.cuda import CUDA_FLAGS
from voicectl.weights.bundle.nativewheel import FLAGS, glibc_needs


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
