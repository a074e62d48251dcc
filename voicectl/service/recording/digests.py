"""Digests of what decides how calls go: configuration, models, prompt. A change of one starts evidence anew."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from voicectl.core.lockfile import Lock
from voicectl.core.profile import Profile

BEHAVIOUR: Final = (
    *("models", "workers", "stt", "llm", "tts", "vad", "endpointing", "barge_in", "playout"),
    *("overload", "breakers", "fallback", "integrations"),
)
"""Sections of a profile that decide what callers hear. Ports, keys and databases do not."""


def config_digest(profile: Profile) -> str:
    """Return the SHA-256 of the settings that decide what callers hear, in canonical JSON."""
    return _digest(profile.model_dump(mode="json", include=set(BEHAVIOUR)))


def model_digest(profile: Profile, lock: Lock) -> str:
    """Return the SHA-256 of the models by role: their names and the digests of their files."""
    return _digest(
        {
            role: [name, sorted((file.path, file.sha256) for file in lock.model(name).files)]
            for role, name in profile.model_names().items()
        }
    )


def _digest(document: Mapping[str, Any]) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
