"""Manifest and profile become what a host is measured by."""

from pathlib import Path

import pytest

from tests.fakes.small_bundle import manifest_of, placed_files
from voicectl.provision.errors import PreflightRefused
from voicectl.provision.needs import disk_needs
from voicectl.service.installing.needs import bundle_needs, chosen_profile, profile_needs
from voicectl.weights.bundle.manifest import Manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return manifest_of(placed_files(tmp_path), profiles=("gpu-l40s", "cpu"))


def test_profile_is_the_wanted_one_or_the_default(manifest: Manifest) -> None:
    assert chosen_profile(manifest, "gpu-l40s") == "gpu-l40s"
    assert chosen_profile(manifest, None) == "cpu"
    assert chosen_profile(manifest.model_copy(update={"profiles": ("gpu-l40s",)}), None) == "gpu-l40s"


def test_profile_that_is_not_in_the_bundle_is_refused_with_those_that_are(manifest: Manifest) -> None:
    with pytest.raises(PreflightRefused, match="holds gpu-l40s, cpu"):
        chosen_profile(manifest, "gpu-h200")


def test_needs_are_those_of_manifest_and_profile(manifest: Manifest) -> None:
    needs = bundle_needs(manifest, "cpu", port=9000, bind_host="10.0.0.5")
    assert needs.systems == (("debian", "12"),)
    assert (needs.python, needs.exact_python, needs.cpu_flags) == ("3.11", True, ("avx2",))
    assert (needs.cores, needs.memory_bytes, needs.gpu) == (2, 4_000_000_000, None)
    assert (needs.port, needs.bind_host) == (9000, "10.0.0.5")
    assert needs.release is not None
    assert (needs.release.version, needs.release.serial) == ("1.2.0", 7)


def test_gpu_needs_are_the_larger_of_both(manifest: Manifest) -> None:
    gpu = {"driver": "570.86", "cuda": "12.8", "memory_gb": 60.0}
    compatible = {**manifest.compatible.model_dump(), "gpu": gpu}
    needs = bundle_needs(manifest_with(manifest, compatible), "gpu-l40s")
    assert needs.gpu is not None
    assert (needs.gpu.memory_bytes, needs.gpu.min_driver) == (60_000_000_000, "570.86")


def manifest_with(manifest: Manifest, compatible: dict[str, object]) -> Manifest:
    return Manifest.model_validate({**manifest.model_dump(by_alias=True), "compatible": compatible})


def test_profile_alone_needs_hardware_and_no_release() -> None:
    needs = profile_needs("gpu-l40s")
    assert needs.gpu is not None
    assert needs.gpu.memory_bytes == 44_000_000_000
    assert needs.release is None


def test_profile_that_is_newer_than_this_voicectl_asks_for_nothing() -> None:
    assert profile_needs("gpu-of-next-year").memory_bytes == 0


def test_each_folder_takes_what_is_placed_there() -> None:
    sizes = {"blobs/sha256/ab/x": 100, "wheels/a.whl": 10, "debs/b.deb": 5, "models.lock": 1}
    assert disk_needs(sizes) == {"/var/lib": 105, "/opt": 70, "/root": 116}
