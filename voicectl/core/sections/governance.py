"""Settings of call records: where they are kept, for how long, and what happens while that place is down."""

from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from voicectl.core.sections.section import Section

SCHEMES: Final = ("sqlite", "postgresql")
USE_CASE_PATTERN: Final = r"^[a-z][a-z0-9_.-]{0,63}$"


class Retention(Section):
    """How long each class of data is kept, in days since the call began. null is for ever."""

    transcripts_days: float | None = Field(
        default=90.0, gt=0, description="What was said: words of turns, events and explanations.", examples=[90.0]
    )
    events_days: float | None = Field(default=400.0, gt=0, description="The events of calls.", examples=[400.0])
    turns_days: float | None = Field(default=400.0, gt=0, description="The times of turns.", examples=[400.0])
    calls_days: float | None = Field(
        default=2555.0, gt=0, description="The rows of calls, with all that hangs on them.", examples=[2555.0]
    )


class Governance(Section):
    """The record of every call."""

    enabled: bool = Field(default=True, description="Whether calls are recorded.", examples=[True])
    url: str | None = Field(
        default=None,
        description=(
            "Database of the records: `sqlite:////absolute/path`, or `postgresql://user@host:5432/name`; "
            "null is a SQLite file of this host."
        ),
        examples=["postgresql://voicectl@db.example/voicectl"],
    )
    password_file: str | None = Field(
        default=None,
        description=(
            "File that holds the password of PostgreSQL, read at every connection; without it the variables "
            "PGPASSWORD and PGPASSFILE count."
        ),
        examples=["/etc/voicectl/postgresql.password"],
    )
    use_case: str = Field(
        default="faq",
        pattern=USE_CASE_PATTERN,
        description="Use case of calls whose client names none with `use_case` in the URL; the gate policy lists it.",
        examples=["order_status"],
    )
    enforce: bool = Field(
        default=True,
        description="Whether only use cases that the gate opened get traffic; false is for golden calls.",
        examples=[True],
    )
    scoring: bool = Field(
        default=True,
        description="Whether recorded calls are scored by the language model while no call is in progress.",
        examples=[True],
    )
    alerts_every_s: float = Field(
        default=300.0,
        ge=10,
        description="How often the policy's alerts that demote are evaluated, seconds.",
        examples=[300.0],
    )
    alerts_overdue_s: float = Field(
        default=3600.0,
        ge=60,
        description="Without an evaluation for so long, what such an alert could demote gets no traffic, seconds.",
        examples=[3600.0],
    )
    caller_attribute: str = Field(
        default="caller",
        pattern=r"^[a-zA-Z0-9_.-]{1,64}$",
        description="Attribute of a call that identifies its caller; only its keyed hash is kept.",
        examples=["caller"],
    )
    hash_key_file: str | None = Field(
        default=None,
        description="File with the key of that hash, 32 bytes or more; null is one made at the first start.",
        examples=["/etc/voicectl/caller-hash.key"],
    )
    transfer_tools: tuple[str, ...] = Field(
        default=(),
        max_length=16,
        description="Functions that hand the caller to a person and may return what came of it; else imports tell.",
        examples=[["transfer_to_agent"]],
    )
    queue_depth: int = Field(
        default=10_000, ge=16, description="Events that wait in memory; beyond it the newest go.", examples=[10000]
    )
    commit_interval_s: float = Field(
        default=0.1, ge=0, le=5, description="Time in which events gather for one commit, seconds.", examples=[0.1]
    )
    storage_s: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="Wait for the database before events are spilled, seconds.",
        examples=[2.0],
    )
    spill_folder: str | None = Field(
        default=None,
        description="Folder for events that the database does not take; null is one of this host.",
        examples=["/var/lib/voicectl/records/spill"],
    )
    max_spill_bytes: int = Field(
        default=67_108_864, ge=4096, description="Most that is spilled; beyond it the newest go.", examples=[67108864]
    )
    flush_s: float = Field(
        default=3.0,
        ge=0,
        description="Time to write what is left when the gateway ends; the rest is spilled, seconds.",
        examples=[3.0],
    )
    lost_after_s: float = Field(
        default=900.0,
        gt=0,
        description="An open call that told nothing for so long counts as lost; above timeouts.idle_session_s.",
        examples=[900.0],
    )
    retention: Retention = Field(default=Retention(), description="How long call records are kept.")

    @model_validator(mode="after")
    def _alerts_are_evaluated_before_they_are_overdue(self) -> "Governance":
        if self.alerts_every_s >= self.alerts_overdue_s:
            raise ValueError(
                f"alerts_every_s ({self.alerts_every_s:g}) must be shorter than alerts_overdue_s "
                f"({self.alerts_overdue_s:g}), or everything is closed as overdue between two evaluations"
            )
        return self

    @field_validator("url")
    @classmethod
    def _url_is_known_and_without_password(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            secret = parts.password is not None or "password=" in parts.query
        except ValueError:
            raise ValueError("the URL cannot be read") from None
        if parts.scheme not in SCHEMES:
            raise ValueError(f"the scheme {parts.scheme!r} is none of {', '.join(SCHEMES)}")
        # The URL is shown in logs and by `profile show`; a password in it would be too.
        if secret:
            raise ValueError("a password does not belong in the URL; name its file as governance.password_file")
        if parts.scheme == "sqlite" and (parts.netloc or not parts.path.startswith("//") or not parts.path.strip("/")):
            raise ValueError("write it as sqlite:////absolute/path, with four slashes")
        if parts.scheme == "postgresql" and not parts.path.strip("/"):
            raise ValueError("the URL names no database: postgresql://user@host/name")
        return url
