"""The keys of a running gateway: follows their file, and tells whose key is presented."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from voicectl.core.errors import ConfigError
from voicectl.service.access.denial import Denial
from voicectl.service.access.keyfile import read_keys
from voicectl.service.access.keys import ApiKey, new_key, parts_of
from voicectl.service.access.watch import FileWatch

log = structlog.get_logger(__name__)

_NOBODY: Final = new_key("nobody", now=datetime.now(UTC))[0]
"""Compared with when no key has the presented id, so that the answer takes as long."""


class Keyring:
    """All keys by id. A file that is lost or broken while the gateway runs leaves the keys as they were."""

    def __init__(self, path: Path, every_s: float) -> None:
        """Read the keys. Raises ConfigError."""
        self.path: Final = path
        self._watch: Final = FileWatch([path], self._reload, every_s)
        self._keys = {key.id: key for key in read_keys(path)}

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, presented: str, now: datetime) -> ApiKey:
        """Return the key that was presented. Raises Denial.

        That a key is expired or revoked is told only to who knows its secret.
        """
        key_id, secret = parts_of(presented) or ("", "")
        key = self._keys.get(key_id, _NOBODY)
        if not key.matches(secret) or key is _NOBODY:
            raise Denial.unauthorised("invalid_api_key", "the API key is not known here")
        match key.state(now):
            case "revoked":
                raise Denial.unauthorised("revoked_api_key", f"the API key {key.id} was revoked")
            case "expired":
                raise Denial.unauthorised("expired_api_key", f"the API key {key.id} has expired")
        return key

    def is_valid(self, key_id: str, now: datetime) -> bool:
        """Return whether a key found earlier still opens anything."""
        key = self._keys.get(key_id)
        return key is not None and key.state(now) == "valid"

    def look(self) -> bool:
        """Read the file again if it changed; return whether it had."""
        return self._watch.look()

    async def watch(self, after: Callable[[], None]) -> None:
        """Follow the file until cancelled; `after` is called behind every change."""
        await self._watch.run(after)

    def _reload(self) -> None:
        try:
            if not self.path.exists():
                # Without any keys a gateway on loopback is open: a lost file must not open it.
                raise ConfigError(f"{self.path}: the file is gone")
            keys = read_keys(self.path)
        except ConfigError as error:
            log.error("keys_not_reloaded", error=error.message, kept=len(self._keys))
            return
        self._keys = {key.id: key for key in keys}
        log.info("keys_reloaded", keys=len(keys))
