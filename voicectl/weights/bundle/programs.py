"""Run the programs that a build needs, one at a time, and say what they said when they fail."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from voicectl.core.errors import ConfigError

TIMEOUT_S: Final = 4 * 3600.0
"""Longest time of one program; a compilation for several GPUs on a small machine takes hours."""
_SHOWN_LINES: Final = 12


class BuildFailed(ConfigError):
    """A program that a build needs is missing or failed; the text ends with its last lines."""


def run(
    command: Sequence[str | Path], *, doing: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program and return what it wrote on stdout; `environment` is added to this one's.

    Raises BuildFailed; `doing` is what the error says could not be done.
    """
    program = str(command[0])
    if shutil.which(program) is None:
        raise BuildFailed(f"{doing}: {program} is not installed", hint=f"install what provides {Path(program).name}")
    try:
        finished = subprocess.run(  # noqa: S603 - an argument list
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"{doing}: {program} took longer than {TIMEOUT_S:.0f} s") from error
    output = finished.stdout.decode(errors="replace")
    if finished.returncode != 0:
        lines = [*output.splitlines(), *finished.stderr.decode(errors="replace").splitlines()][-_SHOWN_LINES:]
        raise BuildFailed(
            f"{doing}: {Path(program).name} ended with status {finished.returncode}:\n  " + "\n  ".join(lines),
            hint="when the network was the cause, run the command again: what is here is not fetched twice",
        )
    return output
