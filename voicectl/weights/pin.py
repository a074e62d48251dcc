"""Pin files of this host, so that models of one's own are checked like all others."""

from pathlib import Path

from voicectl.core.errors import ConfigError, UsageError
from voicectl.core.lockfile import Lock, LockedModel, ModelFormat, ModelRole, lock_of
from voicectl.weights.store import file_digest


def pin_local(
    path: Path, *, name: str, role: ModelRole, model_format: ModelFormat, licence: str, revision: str
) -> LockedModel:
    """Return the pins of a file or of every file below a folder. Raises UsageError when there is none."""
    path = path.absolute()
    files = [path] if path.is_file() else sorted(below for below in path.rglob("*") if below.is_file())
    if not files:
        raise UsageError(f"{path}: no file to pin")
    base = path.parent if path.is_file() else path
    model = {
        "name": name,
        "role": role,
        "format": model_format,
        "revision": revision,
        "licence": licence,
        "source": "this host",
        "file": [
            {
                "path": file.relative_to(base).as_posix(),
                "sha256": file_digest(file),
                "size": file.stat().st_size,
                "sources": [f"file:{file}"],
            }
            for file in files
        ],
    }
    return lock_of([model], name=str(path)).models[0]


def with_model(lock: Lock, model: LockedModel) -> Lock:
    """Return `lock` with one more model. Raises ConfigError when its name is taken."""
    if any(known.name == model.name for known in lock.models):
        raise ConfigError(f"models.lock already has a model {model.name!r}", hint="choose another --name")
    return lock_of([*lock.models, model], name="models.lock")
