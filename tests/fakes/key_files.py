"""Files of API keys for tests, with the secrets that real ones do not hold."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from voicectl.core.sections.access import Access
from voicectl.service.access.keyfile import change_keys
from voicectl.service.access.keys import ApiKey, new_key

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class KeyFile:
    """A file of keys. `add` returns what the holder of a new key presents."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.json"
        self.ids: dict[str, str] = {}

    def access(self, **settings: Any) -> Access:
        """Return the settings that use the file."""
        return Access.model_validate({"keys_file": str(self.path), "reload_s": 0.05, **settings})

    def add(self, name: str = "k", *, expired: bool = False, **limits: Any) -> str:
        """Add a key."""
        expires_at = LONG_AGO + timedelta(days=1) if expired else None
        key, presented = new_key(name, now=LONG_AGO, expires_at=expires_at, **limits)
        change_keys(self.path, lambda keys: (*keys, key))
        self.ids[presented] = key.id
        return presented

    def revoke(self, presented: str) -> None:
        """Revoke a key."""
        key_id = self.ids[presented]

        def revoked(keys: tuple[ApiKey, ...]) -> tuple[ApiKey, ...]:
            return tuple(key.model_copy(update={"revoked_at": LONG_AGO}) if key.id == key_id else key for key in keys)

        change_keys(self.path, revoked)
