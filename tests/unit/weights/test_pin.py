"""Tests of pinning local files."""

from pathlib import Path

import pytest

from voicectl.core.errors import ConfigError, UsageError
from voicectl.core.lockfile import Lock, LockedModel
from voicectl.weights.pin import pin_local, with_model
from voicectl.weights.pull import PullOptions, pull
from voicectl.weights.store import Store


def pinned(path: Path, name: str = "own") -> LockedModel:
    return pin_local(path, name=name, role="llm", model_format="gguf", licence="own", revision="1")


def test_a_pinned_folder_can_be_pulled(origin: Path, store: Store) -> None:
    model = pinned(origin)
    assert [file.path for file in model.files] == ["config.json", "model.bin"]
    pull([model], store, PullOptions())
    assert store.verified_root(model)


def test_a_single_file_is_a_model(origin: Path) -> None:
    assert [file.path for file in pinned(origin / "model.bin").files] == ["model.bin"]


def test_nothing_to_pin_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file to pin"):
        pinned(tmp_path / "none")


def test_a_taken_name_is_refused(origin: Path, lock: Lock) -> None:
    assert [model.name for model in with_model(lock, pinned(origin)).models] == ["own", "tiny"]
    with pytest.raises(ConfigError, match="already has"):
        with_model(lock, pinned(origin, "tiny"))
