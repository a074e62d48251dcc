"""Made-up models in a folder, and a store, for the tests of weights."""

import hashlib
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voicectl.core.lockfile import Lock, LockedModel, Pin, lock_of
from voicectl.weights.sink import Sink
from voicectl.weights.store import Store

WEIGHTS = bytes(range(256)) * 40
CONFIG = b'{"layers": 2}'


def sha256(content: bytes) -> str:
    """Return the digest of bytes."""
    return hashlib.sha256(content).hexdigest()


def pin_of(content: bytes, *sources: str, **more: Any) -> dict[str, Any]:
    """Return the pin table of bytes."""
    return {"sha256": sha256(content), "size": len(content), "sources": list(sources), **more}


def model_of(name: str, *files: dict[str, Any]) -> dict[str, Any]:
    """Return a model table."""
    return {
        "name": name,
        "role": "llm",
        "format": "gguf",
        "revision": "1",
        "licence": "CC0-1.0",
        "source": "made up",
        "file": list(files),
    }


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """Return a folder with the files of the model `tiny`."""
    folder = tmp_path / "origin"
    folder.mkdir()
    (folder / "model.bin").write_bytes(WEIGHTS)
    (folder / "config.json").write_bytes(CONFIG)
    return folder


@pytest.fixture
def lock(origin: Path) -> Lock:
    """Return pins of the model `tiny`, whose source is `origin`."""
    files = [
        pin_of(content, f"file:{origin / path}", path=path)
        for path, content in (("model.bin", WEIGHTS), ("config.json", CONFIG))
    ]
    return lock_of([model_of("tiny", *files)], name="made up")


@pytest.fixture
def tiny(lock: Lock) -> LockedModel:
    """Return the model `tiny`."""
    return lock.models[0]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Return an empty store."""
    return Store(tmp_path / "store")


@pytest.fixture
def sink_for(tmp_path: Path) -> Callable[..., Sink]:
    """Return a function that opens a sink for bytes to come."""

    def make(content: bytes, stop: threading.Event | None = None) -> Sink:
        return Sink(
            tmp_path / "partial",
            Pin.model_validate(pin_of(content, "file:/x")),
            name="tiny/model.bin",
            stop=stop or threading.Event(),
            advanced=lambda done_bytes: None,
        )

    return make


@pytest.fixture
def wheel(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that packs files into a wheel."""

    def make(files: dict[str, bytes], name: str = "tiny_weights", version: str = "1.0") -> Path:
        path = tmp_path / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in files.items():
                archive.writestr(member, content)
        return path

    return make
