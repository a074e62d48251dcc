"""Where the playbooks are: those of a bundle, or those that came with this voicectl."""

from pathlib import Path
from typing import Final, Literal

import voicectl
from voicectl.core.errors import ConfigError

Playbook = Literal["install", "upgrade", "rollback", "uninstall", "status", "verify"]

FOLDER: Final = "playbooks"
OWN_FOLDER: Final = Path(__file__).parent / "plays"
"""Plays that only look, and need no role."""


def playbook_path(name: Playbook, *, bundle: Path | None = None) -> Path:
    """Return a playbook; one of a bundle is of the release that it installs. Raises ConfigError."""
    folder = packaged_folder() if bundle is None else bundle / FOLDER
    path = folder / f"{name}.yml"
    if not path.is_file():
        hint = "use the voicectl that came with the bundle's release" if bundle else "reinstall voicectl"
        raise ConfigError(f"{path}: no such playbook", hint=hint)
    return path


def own_play(name: str) -> Path:
    """Return one of the plays beside this module."""
    return OWN_FOLDER / f"{name}.yml"


def packaged_folder() -> Path:
    """Return the playbooks that came with this voicectl."""
    package = Path(voicectl.__file__).parent
    installed = package / "packaged" / FOLDER
    # A checkout, and an installation in editable mode, have the folder beside the package.
    return installed if installed.is_dir() else package.parent / FOLDER
