"""Every failure voicectl reports: what failed, with values, the next step, and the exit code."""

from pathlib import Path


class VoicectlError(Exception):
    """A failure that a person can act on.

    `hint` is the next step, a command where there is one. `exit_code` is the process status of
    `docs/architecture.md`, section "Exit codes".
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(VoicectlError):
    """The command line asks for something that cannot be meant."""

    exit_code = 2


class AudioInputError(UsageError):
    """An audio file cannot be read as speech; names the file and the reason."""

    def __init__(self, path: Path | str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{path}: {reason}", hint=hint)
        self.path = path
        self.reason = reason


class ConfigError(VoicectlError):
    """A configuration, profile or preflight check refuses to go on."""

    exit_code = 3


class AudioDeviceError(ConfigError):
    """No usable microphone or loudspeaker."""


class IntegrityError(VoicectlError):
    """Bytes are not the pinned ones."""

    exit_code = 4


class ChecksumMismatch(IntegrityError):
    """A file's sha256 differs from its pin."""

    def __init__(self, path: Path | str, *, expected: str, actual: str) -> None:
        super().__init__(
            f"{path}: sha256 is {actual}, models.lock says {expected}",
            hint="the source holds other bytes than the pinned ones; "
            "fetch again with `voicectl models pull --refetch`, or use another source",
        )
        self.path = path
        self.expected = expected
        self.actual = actual


class ArtifactMissing(VoicectlError):
    """A pinned artifact is not here and may not, or cannot, be fetched."""

    exit_code = 5


class LockedError(VoicectlError):
    """Another run holds the lock."""

    exit_code = 11


class EngineError(VoicectlError):
    """A stage of the engine did not deliver."""


class WorkerDied(EngineError):
    """The worker process ended while a request was in flight."""


class DeadlineExceeded(EngineError):
    """A stage did not answer before the request's deadline."""


class RequestRejected(EngineError):
    """A stage refused the request: its queue is full, or the request cannot be served."""


class RequestCancelled(EngineError):
    """The request was cancelled before it finished."""
