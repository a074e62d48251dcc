"""What earlier runs left on the operator's machine: a dying Ansible to wait for, old folders to remove."""

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

FOLDER: Final = "runs"
HELD_FILE: Final = "held"
"""Locked by a run for as long as it lives."""
KEPT_RUNS: Final = 5
"""Folders of failed runs that are kept for a support bundle."""
_PATIENCE_S: Final = 10.0
_POLL_S: Final = 0.1
_SECRET_FOLDERS: Final = ("env", "inventory")
_WORKING_FOLDERS: Final = ("home", "tmp", "none")


def end_leftovers(state_folder: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """End what a killed run left running. The kernel has told it to go; it may still be at it."""
    for folder in _abandoned(state_folder):
        pid_file = folder / "ansible.pid"
        pid = _alive(pid_file)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if pid is not None:
                with suppress(OSError):
                    os.kill(pid, number)
                pid = _wait(pid_file, sleep)
        pid_file.unlink(missing_ok=True)


def clear_run(folder: Path, *, keep_output: bool) -> None:
    """Remove the folder of a run, but for its output where that is to be kept; inventory and variables always go."""
    if not keep_output:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for name in _WORKING_FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
    for run in folder.glob("run-*"):
        for name in _SECRET_FOLDERS:
            shutil.rmtree(run / name, ignore_errors=True)
        # It repeats the environment, with the addresses of agents and the like.
        for path in run.glob("artifacts/*/command"):
            path.unlink()


def prune_runs(state_folder: Path) -> None:
    """Remove the oldest folders of failed runs, and from killed ones the inventories and variables."""
    folders = _abandoned(state_folder)
    for folder in folders[:-KEPT_RUNS]:
        shutil.rmtree(folder, ignore_errors=True)
    for folder in folders[-KEPT_RUNS:]:
        clear_run(folder, keep_output=True)


def _abandoned(state_folder: Path) -> list[Path]:
    """Return the folders of runs that nobody is at work in, oldest first."""
    return [path for path in sorted((state_folder / FOLDER).glob("*")) if path.is_dir() and not _is_held(path)]


def _is_held(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / HELD_FILE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _alive(pid_file: Path) -> int | None:
    """Return the process of a file, None when it has ended or the number is somebody else's by now."""
    try:
        pid = int(pid_file.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(pid_file.parent).encode() in command else None


def _wait(pid_file: Path, sleep: Callable[[float], None]) -> int | None:
    for _ in range(int(_PATIENCE_S / _POLL_S)):
        if _alive(pid_file) is None:
            return None
        sleep(_POLL_S)
    return _alive(pid_file)
