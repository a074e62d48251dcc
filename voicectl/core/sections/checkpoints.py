"""Settings of conversation checkpoints."""

from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from voicectl.core.sections.section import Section

SCHEMES: Final = ("sqlite", "redis", "rediss", "unix")


class Checkpoints(Section):
    """Where conversations are kept so that clients can come back to them."""

    enabled: bool = Field(default=True, description="Whether conversations are kept.", examples=[True])
    url: str | None = Field(
        default=None,
        description=(
            "Where they are kept: `sqlite:///absolute/path`, or Redis or Valkey by `redis://host:port/db`, "
            "`rediss://` (TLS) or `unix:///path?db=0`; null is a SQLite file of this host."
        ),
        examples=["redis://valkey.example:6379/0"],
    )
    password_file: str | None = Field(
        default=None,
        description="File that holds the password of Redis, read at every connection.",
        examples=["/etc/voicectl/valkey.password"],
    )
    ca_file: str | None = Field(
        default=None,
        description="PEM file of the authorities trusted for `rediss://`; null is the host's own.",
        examples=["/etc/voicectl/ca.pem"],
    )
    key_prefix: str = Field(
        default="voicectl:checkpoint:",
        min_length=1,
        max_length=64,
        description="Beginning of every key in Redis.",
        examples=["voicectl:checkpoint:"],
    )
    grace_s: float = Field(
        default=300.0,
        gt=0,
        description="How long after its last turn a conversation can be taken up again, seconds.",
        examples=[300.0],
    )
    timeout_s: float = Field(default=2.0, gt=0, description="One read or write, seconds.", examples=[2.0])
    flush_s: float = Field(
        default=3.0, ge=0, description="Time to write what is left when the gateway ends, seconds.", examples=[3.0]
    )
    max_state_bytes: int = Field(
        default=262_144,
        ge=4096,
        description="Largest conversation kept; of a longer one the oldest entries are cut.",
        examples=[262144],
    )
    max_entries: int = Field(
        default=5000, ge=1, description="Conversations in SQLite; beyond it the oldest go.", examples=[5000]
    )
    max_pending: int = Field(
        default=1000,
        ge=1,
        description="Conversations that wait in memory while the store is down; beyond it the oldest go.",
        examples=[1000],
    )

    @field_validator("url")
    @classmethod
    def _url_is_known_and_without_password(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            has_password = parts.password is not None
        except ValueError:
            raise ValueError("the URL cannot be read") from None
        if parts.scheme not in SCHEMES:
            raise ValueError(f"the scheme {parts.scheme!r} is none of {', '.join(SCHEMES)}")
        # The URL is shown in logs and by `profile show`; a password in it would be too.
        if has_password:
            raise ValueError("a password does not belong in the URL; name its file as checkpoints.password_file")
        return url
