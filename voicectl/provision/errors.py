"""What can go wrong with hosts: one class for each exit code, worst first."""

from typing import Final

from voicectl.core.errors import ConfigError, LockedError, VoicectlError


class PreflightRefused(ConfigError):
    """A host, or the machine this runs on, is not fit for what was asked; nothing was changed."""


class HostTaskFailed(VoicectlError):
    """A step on a host failed."""

    exit_code = 6


class HostUnreachable(VoicectlError):
    """A host does not answer, or does not let us in."""

    exit_code = 7


class RebootNeeded(VoicectlError):
    """A host has to be restarted before the same command can go on."""

    exit_code = 8


class ActivationRolledBack(VoicectlError):
    """A release did not pass its gate; the host serves the previous one again."""

    exit_code = 9


class RollbackFailed(VoicectlError):
    """A release did not pass its gate and the previous one could not be brought back."""

    exit_code = 10


class DriftFound(VoicectlError):
    """A host is not what was installed on it."""

    exit_code = 12


HOST_ERRORS: Final[dict[int, type[VoicectlError]]] = {
    error.exit_code: error
    for error in (
        RollbackFailed,
        ActivationRolledBack,
        HostTaskFailed,
        HostUnreachable,
        RebootNeeded,
        LockedError,
        PreflightRefused,
        DriftFound,
    )
}
"""The class of an exit code that a host may end with."""

_WORST_FIRST: Final = (10, 9, 4, 5, 6, 7, 11, 8, 3, 12)


def worst(codes: "list[int]") -> int:
    """Return the exit code that tells most about several hosts; 0 when all are 0."""
    bad = [code for code in codes if code]
    return min(bad, key=lambda code: _WORST_FIRST.index(code) if code in _WORST_FIRST else -1) if bad else 0
