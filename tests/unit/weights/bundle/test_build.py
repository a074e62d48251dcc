"""Tests of deciding what belongs into a bundle."""

from pathlib import Path

from voicectl.core.config import load_profile
from voicectl.core.lockfile import read_lock
from voicectl.core.profile import Profile
from voicectl.weights.bundle.build import SLOW_VOICE, Recipe
from voicectl.weights.bundle.targets import find_target


def recipe(*profiles: Profile) -> Recipe:
    return Recipe(
        source=Path("/nonexistent"),
        target=find_target("debian12"),
        profiles=profiles,
        lock=read_lock(),
        serial=1,
        min_from_version=None,
        apt_sources={},
    )


def profile(name: str, *overrides: str) -> Profile:
    return load_profile(name, environment={}, overrides=overrides)


def test_models_are_those_of_all_profiles_once_each() -> None:
    cpu, gpu = profile("cpu"), profile("gpu-24gb")
    names = [model.name for model in recipe(cpu, gpu, cpu).models]
    assert set(names) == {*cpu.model_names().values(), *gpu.model_names().values()}
    assert len(names) == len(set(names))


def test_gpu_wheels_are_for_gpu_profiles_alone() -> None:
    assert not recipe(profile("cpu")).on_gpu
    assert recipe(profile("cpu"), profile("gpu-24gb")).on_gpu


def test_slow_voice_is_packed_where_a_profile_falls_back_on_it() -> None:
    assert SLOW_VOICE not in recipe(profile("cpu")).packages
    assert SLOW_VOICE in recipe(profile("cpu", "fallback.voice=/usr/bin/espeak-ng")).packages
