"""Tests of what a bundle of GPU profiles needs more."""

import zipfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from voicectl.core.errors import ConfigError
from voicectl.weights.bundle.cuda import (
    LEAST_DRIVERS,
    Cuda,
    check_driver,
    cublas_arguments,
    driver_packages,
    parse_cuda,
)
from voicectl.weights.bundle.programs import BuildFailed
from voicectl.weights.bundle.requirements import Wheel, read_requirements, read_wheel


def cublas_wheel(folder: Path) -> Wheel:
    path = folder / "nvidia_cublas-13.1.2-py3-none-manylinux_2_27_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nvidia/cu13/include/cublas_v2.h", "// declarations")
        archive.writestr("nvidia/cu13/lib/libcublas.so.13", "library")
        archive.writestr("nvidia/cu13/lib/libcublasLt.so.13", "library")
        archive.writestr("nvidia_cublas-13.1.2.dist-info/METADATA", "Name: nvidia-cublas")
    return read_wheel(path)


def test_driver_that_a_bundle_needs_follows_from_the_compiler() -> None:
    text = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 12.8, V12.8.93\n"
    assert parse_cuda(text) == Cuda("12.8")
    assert Cuda("12.8").least_driver == "525.60.13"
    assert Cuda("13.0").least_driver == "580.65.06"


def test_compiler_of_an_unknown_cuda_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not tell its version"):
        parse_cuda("command not found")
    with pytest.raises(ConfigError, match=r"CUDA 14\.1 is not known"):
        parse_cuda("Cuda compilation tools, release 14.1, V14.1.0")


@pytest.mark.parametrize("major", LEAST_DRIVERS)
def test_lock_names_the_libraries_of_llama_and_of_ctranslate2(major: str) -> None:
    names = {pin.name for pin in read_requirements(REPOSITORY / Cuda(f"{major}.0").lock)}
    assert "nvidia-cublas-cu12" in names
    assert names >= ({"nvidia-cublas", "nvidia-cuda-runtime"} if major == "13" else {"nvidia-cuda-runtime-cu12"})


def test_compilation_is_against_the_cublas_that_the_bundle_carries(tmp_path: Path) -> None:
    arguments = cublas_arguments(Cuda("13.0"), [cublas_wheel(tmp_path)], tmp_path / "cublas")
    found = tmp_path / "cublas/nvidia/cu13"
    assert arguments == [
        f"-DCUDA_cublas_LIBRARY={found}/lib/libcublas.so.13",
        f"-DCUDA_cublasLt_LIBRARY={found}/lib/libcublasLt.so.13",
        f"-DCMAKE_CUDA_FLAGS=-I{found}/include",
    ]
    assert (found / "include/cublas_v2.h").is_file()
    assert (found / "lib/libcublas.so.13").is_file()


def test_lock_without_cublas_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"requirements-cuda12\.lock: does not name nvidia-cublas-cu12"):
        cublas_arguments(Cuda("12.8"), [cublas_wheel(tmp_path)], tmp_path / "cublas")


def test_driver_comes_with_the_headers_of_each_kernel() -> None:
    assert set(driver_packages(["6.1.0-50-amd64"])) >= {"nvidia-kernel-dkms", "linux-headers-6.1.0-50-amd64"}


def test_driver_that_is_too_old_for_the_compiler_is_refused() -> None:
    debs = ["nvidia-smi_535.261.03-1_amd64.deb", "nvidia-kernel-dkms_535.261.03-1_amd64.deb"]
    check_driver(Cuda("12.8"), debs)
    with pytest.raises(ConfigError, match=r"is 535\.261\.03, CUDA 13\.0 needs 580\.65\.06"):
        check_driver(Cuda("13.0"), debs)
    with pytest.raises(ConfigError, match="no nvidia-kernel-dkms"):
        check_driver(Cuda("12.8"), debs[:1])
