"""Digests of what decides how calls go: configuration, models, prompt, policy. Rows and the audit log name the same."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from voicectl.core.lockfile import Lock
from voicectl.core.profile import Profile
from voicectl.governance.policy.errors import PolicyInvalid
from voicectl.governance.policy.load import load_policy
from voicectl.governance.rollout.load import policy_file

log = structlog.get_logger(__name__)

BEHAVIOUR: Final = (
    *("models", "workers", "stt", "llm", "tts", "vad", "endpointing", "barge_in", "playout"),
    *("overload", "breakers", "fallback", "integrations"),
)
"""Sections of a profile that decide what callers hear. Ports, keys and databases do not."""


def config_digest(profile: Profile) -> str:
    """Return the SHA-256 of the settings that decide what callers hear, in canonical JSON."""
    return _digest(profile.model_dump(mode="json", include=set(BEHAVIOUR)))


def profile_digest(profile: Profile) -> str:
    """Return the SHA-256 of all settings: ports, keys' places and databases too."""
    return _digest(profile.model_dump(mode="json"))


def model_digest(profile: Profile, lock: Lock) -> str:
    """Return the SHA-256 of the models by role: their names and the digests of their files."""
    return _digest(
        {
            role: [name, sorted((file.path, file.sha256) for file in lock.model(name).files)]
            for role, name in profile.model_names().items()
        }
    )


class PolicyInForce:
    """The sha256 of the gate policy's file, as sign-offs and the gate's audit entries name it; None for an invalid one.

    Follows the file: it is read again when it was replaced or written to. One thread at a time may ask.
    """

    def __init__(self, path: Callable[[], Path | None] = policy_file) -> None:
        self._path = path
        self._seen: object = self
        self._sha256: str | None = None

    def __call__(self) -> str | None:
        """Return the digest of the file as it is now."""
        path = self._path()
        seen = None if path is None else _state_of(path)
        if seen != self._seen:
            self._seen, self._sha256 = seen, _sha256_of(path)
        return self._sha256


def _state_of(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _sha256_of(path: Path | None) -> str | None:
    try:
        return load_policy(path).sha256
    except PolicyInvalid as error:
        log.warning("policy_unreadable", error=error.message)
        return None


def _digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
