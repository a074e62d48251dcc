"""API keys: how one is made, written down without its secret, and checked. Knows no file and no request."""

import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

from voicectl.core.sections.access import Scope

PREFIX: Final = "vk"
SECRET_BYTES: Final = 32
ID_BYTES: Final = 6
DEFAULT_SCOPES: Final[tuple[Scope, ...]] = ("realtime", "transcribe", "speak", "chat", "models")
ALL_SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
MAX_KEY_CHARACTERS: Final = 200
"""Longest credential that is looked at."""

KeyState = Literal["valid", "expired", "revoked"]

_Instant = Annotated[
    AwareDatetime, PlainSerializer(lambda at: at.astimezone(UTC).isoformat(timespec="seconds"), when_used="json")
]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ApiKey(_Document):
    """One key as the gateway keeps it: everything but the secret, of which only the SHA-256 is known.

    A plain hash is enough for 256 random bits: there is no dictionary to try. None means no limit.
    """

    id: str = Field(pattern=r"^[0-9a-f]{12}$")
    name: str = Field(min_length=1, max_length=100)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: tuple[Scope, ...]
    created_at: _Instant
    expires_at: _Instant | None = None
    revoked_at: _Instant | None = None
    requests_per_minute: int | None = Field(default=None, ge=1)
    max_sessions: int | None = Field(default=None, ge=1)

    def matches(self, secret: str) -> bool:
        """Return whether `secret` is this key's; takes the same time whatever differs."""
        return hmac.compare_digest(self.sha256, digest_of(secret))

    def state(self, now: datetime) -> KeyState:
        """Return whether the key opens anything at `now`."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= now:
            return "expired"
        return "valid"

    def permits(self, scope: Scope) -> bool:
        """Return whether the key may be used for `scope`."""
        return scope in self.scopes or "admin" in self.scopes


class KeyDocument(_Document):
    """The file of all keys."""

    version: Literal[1] = 1
    keys: tuple[ApiKey, ...] = ()


def new_key(
    name: str,
    *,
    now: datetime,
    scopes: tuple[Scope, ...] = DEFAULT_SCOPES,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
    max_sessions: int | None = None,
) -> tuple[ApiKey, str]:
    """Return a key and what its holder presents, which exists nowhere else: `vk_<id>_<secret>`."""
    key_id, secret = secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES)
    key = ApiKey(
        id=key_id,
        name=name,
        sha256=digest_of(secret),
        scopes=scopes,
        created_at=now,
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
        max_sessions=max_sessions,
    )
    return key, f"{PREFIX}_{key_id}_{secret}"


def parts_of(presented: str) -> tuple[str, str] | None:
    """Return the id and the secret of a presented key, None when it has not the form of one."""
    if len(presented) > MAX_KEY_CHARACTERS or not presented.isascii():
        return None
    prefix, _, rest = presented.partition("_")
    key_id, _, secret = rest.partition("_")
    return (key_id, secret) if prefix == PREFIX and key_id and secret else None


def digest_of(secret: str) -> str:
    """Return the hash under which a secret is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()
