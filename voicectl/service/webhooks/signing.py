"""Sign a message by the Standard Webhooks scheme. Knows secrets, sends nothing."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from voicectl.core.errors import ConfigError

log = structlog.get_logger(__name__)

PREFIX: Final = "whsec_"
MIN_SECRET_BYTES: Final = 24
MAX_SECRET_BYTES: Final = 64
MAX_FILE_BYTES: Final = 16_384
MAX_SECRETS: Final = 8
_HINT: Final = (
    "write one secret a line, for example the output of: "
    "python3 -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\""
)


def sign(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: one `v1,…` a secret, separated by spaces."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def signed_headers(secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """Return the three headers. `timestamp` is the attempt's, in seconds since the epoch."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secrets, message_id, timestamp, body),
    }


def parse_secrets(text: str, *, origin: str) -> tuple[bytes, ...]:
    """Return the secrets of a file, one a line. Raises ConfigError, which never quotes them."""
    lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
    if not 1 <= len(lines) <= MAX_SECRETS:
        raise ConfigError(f"{origin}: holds {len(lines)} secrets, between 1 and {MAX_SECRETS} are needed", hint=_HINT)
    return tuple(_parse_secret(line, f"{origin}: line {number}") for number, line in enumerate(lines, start=1))


def _parse_secret(line: str, where: str) -> bytes:
    if not line.startswith(PREFIX):
        raise ConfigError(f"{where} does not begin with {PREFIX}", hint=_HINT)
    try:
        secret = base64.b64decode(line.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"{where} is no base64", hint=_HINT) from None
    if not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        raise ConfigError(
            f"{where} has {len(secret)} bytes, between {MIN_SECRET_BYTES} and {MAX_SECRET_BYTES} are needed", hint=_HINT
        )
    return secret


class SecretFile:
    """The secrets of one endpoint, read anew when the file changes. Blocks: not for the event loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._secrets: tuple[bytes, ...] = ()

    def load(self) -> tuple[bytes, ...]:
        """Return what the file holds. Raises ConfigError when it holds no usable secrets."""
        try:
            status = self.path.stat()
            if status.st_size > MAX_FILE_BYTES:
                raise ConfigError(f"{self.path}: {status.st_size} bytes is no file of secrets", hint=_HINT)
            text = self.path.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.path}: cannot be read: {error}", hint=_HINT) from error
        if status.st_mode & 0o004:
            log.warning("secret_readable_by_all", path=str(self.path), hint="chmod o-r")
        self._secrets = parse_secrets(text, origin=str(self.path))
        self._seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        return self._secrets

    def current(self) -> tuple[bytes, ...]:
        """Return the secrets of now; when the file became unusable, those of before."""
        try:
            status = self.path.stat()
            if (status.st_mtime_ns, status.st_size, status.st_ino) != self._seen:
                return self.load()
        except (OSError, ConfigError) as error:
            if not self._secrets:
                raise
            log.error("secret_not_renewed", path=str(self.path), error=str(error))
        return self._secrets
