"""Fixtures shared by all tests."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

# On a busy machine an example may take seconds: that is no failure of what it shows.
settings.register_profile("voicectl", settings(), deadline=None)
settings.load_profile("voicectl")

REPOSITORY = Path(__file__).parent.parent
SHARED_SPEECH = REPOSITORY.parent / "shared" / "speech"


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Let no test decide what the tests after it see logged."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Return a folder whose path is short enough for sockets, wherever tests keep their files."""
    with tempfile.TemporaryDirectory(prefix="voicectl-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def speech() -> Path:
    """Return the folder of recorded speech; skip where it is not at hand."""
    if not (SHARED_SPEECH / "manifest.jsonl").is_file():
        pytest.skip(f"no recorded speech at {SHARED_SPEECH}")
    return SHARED_SPEECH


@pytest.fixture(scope="session")
def model_root() -> Callable[[str], Path]:
    """Return a function from a model's name in models.lock to its verified folder."""
    from voicectl.core.lockfile import read_lock
    from voicectl.core.paths import store_path
    from voicectl.weights.store import Store

    lock = read_lock(REPOSITORY / "models.lock")
    store = Store(store_path())
    return lambda name: store.verified_root(lock.model(name))
