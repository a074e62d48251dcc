"""Run programs of the host and of a release: argument lists, a bound on time, an environment that is written here."""

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from .faults import Refused

SYSTEM_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT: Final = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
MAX_ERROR_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended; `code` is None when it was stopped for its time."""

    code: int | None
    out: str
    error: str

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.code == 0


def run_program(
    arguments: Sequence[str | Path],
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
) -> Result:
    """Run a program to its end, or kill it after `timeout_s`. Only root can run it as another user."""
    try:
        done = subprocess.run(  # noqa: S603 - absolute paths of this program's own, never a shell
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            env={**ENVIRONMENT, **(environment or {})},
            cwd="/",
            check=False,
            **_identity(user),
        )
    except subprocess.TimeoutExpired:
        return Result(None, "", f"{arguments[0]} did not end within {timeout_s:.0f} s")
    except OSError as error:
        return Result(-1, "", f"{arguments[0]}: {error.strerror}")
    return Result(done.returncode, _text(done.stdout), _text(done.stderr).strip()[-MAX_ERROR_CHARACTERS:])


def user_id(name: str) -> tuple[int, int] | None:
    """Return user and group of a name when this program, as root, can become it; None when it runs as somebody else.

    Raises Refused when there is no such user.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        raise Refused(f"there is no user {name} on this host", hint="run the installation again") from error
    return entry.pw_uid, entry.pw_gid


def _identity(user: str | None) -> dict[str, Any]:
    ids = None if user is None else user_id(user)
    return {} if ids is None else {"user": ids[0], "group": ids[1], "extra_groups": [], "umask": 0o077}


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")
