"""Where voicectl keeps things on this host: system folders for root, XDG folders for anyone else."""

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

HOME_VARIABLE = "VOICECTL_HOME"
"""Environment variable that moves every folder below one root."""


def store_path() -> Path:
    """Return the folder of weights and state."""
    return _folder("", "/var/lib/voicectl", platformdirs.user_data_path)


def config_path() -> Path:
    """Return the folder of this host's own configuration."""
    return _folder("etc", "/etc/voicectl", platformdirs.user_config_path)


def runtime_path() -> Path:
    """Return the folder of sockets, empty after a reboot."""
    return _folder("run", "/run/voicectl", _user_runtime_path)


def cache_path() -> Path:
    """Return the folder of what can be made again."""
    return _folder("cache", "/var/cache/voicectl", platformdirs.user_cache_path)


def state_path() -> Path:
    """Return the folder of what an operator did to hosts: journal, locks, runs that failed.

    For root it lies beside that of the service, so that the record of removing voicectl here outlives it.
    """
    return _folder("operator", "/var/lib/voicectl-operator", platformdirs.user_state_path)


def _folder(below_home: str, for_root: str, for_user: Callable[[str], Path]) -> Path:
    home = os.environ.get(HOME_VARIABLE)
    if home:
        return Path(home).expanduser().absolute() / below_home
    return Path(for_root) if os.geteuid() == 0 else for_user("voicectl")


def _user_runtime_path(name: str) -> Path:
    # Without a login session there is no XDG_RUNTIME_DIR, and a guessable folder in /tmp is no place for sockets.
    session = os.environ.get("XDG_RUNTIME_DIR")
    return Path(session) / name if session else platformdirs.user_cache_path(name) / "run"
