"""Every way in which work on a host's releases ends badly: what failed, the next step, the exit code."""

from collections.abc import Mapping
from typing import Any


class ReleaseError(Exception):
    """A failure that a person can act on. `facts` join the document that the command prints."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = dict(facts or {})

    def document(self) -> dict[str, Any]:
        """Return the failure as it is printed."""
        error = {
            "type": type(self).__name__,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }
        return {"changed": False, **self.facts, "exit_code": self.exit_code, "error": error}


class BadUsage(ReleaseError):
    """The command line asks for something that cannot be meant."""

    exit_code = 2


class Refused(ReleaseError):
    """A check refuses to go on: downgrade, wrong host, unsafe folder, wrong settings."""

    exit_code = 3


class Damaged(ReleaseError):
    """Bytes or records are not what they were."""

    exit_code = 4


class TaskFailed(ReleaseError):
    """The host did not do what it was told."""

    exit_code = 6


class UseCaseClosed(TaskFailed):
    """The gateway works, and refuses the golden call because its gate has closed the use case of the call."""


class RolledBack(ReleaseError):
    """A gate refused a release; what served before serves again, or goes on serving."""

    exit_code = 9


class RollbackFailed(ReleaseError):
    """The release that had served before does not pass its gate either."""

    exit_code = 10


class Locked(ReleaseError):
    """Another run is at work on this host."""

    exit_code = 11


class DriftFound(ReleaseError):
    """The host is not what was recorded."""

    exit_code = 12
