"""Settings of webhooks."""

from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from voicectl.core.sections.section import Section

EventType = Literal[
    "session.started",
    "session.resumed",
    "session.ended",
    "call.turn_completed",
    "call.tool_called",
    "call.escalation_requested",
    "service.degraded",
]
MAX_ENDPOINTS: Final = 32


class WebhookEndpoint(Section):
    """One receiver of events."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9-]{0,31}$", description="Name in logs, metrics and the outbox.", examples=["crm"]
    )
    url: str = Field(
        description="Where events are sent by POST. Redirects are never followed.",
        examples=["https://crm.example/hooks/voicectl"],
    )
    secret_file: str = Field(
        description=(
            "File of signing secrets, `whsec_` and base64, one a line; with several, each event is signed by all. "
            "Read anew when it changes."
        ),
        examples=["/etc/voicectl/crm.whsec"],
    )
    events: tuple[EventType, ...] = Field(
        default=(), description="Events that are sent; none listed is all.", examples=[["session.ended"]]
    )
    include_transcripts: bool = Field(
        default=False,
        description="Whether events carry what was said and the arguments of functions.",
        examples=[False],
    )
    allow_private: bool = Field(
        default=False,
        description=(
            "Whether the URL may lead to private and loopback addresses. Link-local addresses and those that hand "
            "out a host's identity are refused in any case."
        ),
        examples=[True],
    )
    ca_file: str | None = Field(
        default=None,
        description="PEM file of the authorities trusted for this URL; null is the host's own.",
        examples=["/etc/voicectl/ca.pem"],
    )

    @field_validator("url")
    @classmethod
    def _url_is_plain_http(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            _ = parts.port
        except ValueError:
            raise ValueError("the URL cannot be read") from None
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"the scheme {parts.scheme!r} is neither http nor https")
        if not parts.hostname:
            raise ValueError("the URL names no host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("credentials do not belong in the URL; events are signed instead")
        if parts.fragment:
            raise ValueError("the URL has a fragment, which is never sent")
        return url


class Webhooks(Section):
    """Where events are sent, and how hard it is tried."""

    enabled: bool = Field(default=True, description="Whether events are sent at all.", examples=[True])
    endpoints: tuple[WebhookEndpoint, ...] = Field(
        default=(), max_length=MAX_ENDPOINTS, description="Receivers of events.", examples=[[]]
    )
    outbox: str | None = Field(
        default=None,
        description="SQLite file of events that are still to be delivered; null is a file of this host.",
        examples=["/var/lib/voicectl/webhooks/outbox.db"],
    )
    max_outbox: int = Field(
        default=10_000, ge=1, description="Deliveries that may wait; beyond it the oldest go.", examples=[10000]
    )
    queue_depth: int = Field(
        default=1000, ge=1, description="Events on their way to the outbox; beyond it the oldest go.", examples=[1000]
    )
    connect_s: float = Field(default=5.0, gt=0, description="Name look-up and connection, seconds.", examples=[5.0])
    read_s: float = Field(default=10.0, gt=0, description="Each piece of the answer, seconds.", examples=[10.0])
    total_s: float = Field(default=15.0, gt=0, description="One attempt as a whole, seconds.", examples=[15.0])
    storage_s: float = Field(default=5.0, gt=0, description="One access to the outbox, seconds.", examples=[5.0])
    flush_s: float = Field(
        default=3.0, ge=0, description="Time to store and send what is left when the gateway ends.", examples=[3.0]
    )
    parallel: int = Field(default=4, ge=1, le=64, description="Attempts at a time for one receiver.", examples=[4])
    max_attempts: int = Field(default=20, ge=1, description="Attempts before an event is given up.", examples=[20])
    max_age_s: float = Field(
        default=86_400.0, gt=0, description="Age at which an event is given up, seconds.", examples=[86400.0]
    )
    backoff_s: float = Field(
        default=2.0, gt=0, description="Wait before the second attempt; each later one doubles it.", examples=[2.0]
    )
    max_backoff_s: float = Field(default=3600.0, gt=0, description="Longest wait before an attempt.", examples=[3600.0])
    open_after: int = Field(
        default=5, ge=1, description="Failures in a row after which a receiver is left alone.", examples=[5]
    )
    max_open_s: float = Field(
        default=60.0, gt=0, description="Longest time a receiver is left alone before it is tried again.", examples=[60]
    )

    @model_validator(mode="after")
    def _names_differ(self) -> "Webhooks":
        names = [endpoint.name for endpoint in self.endpoints]
        if len(set(names)) != len(names):
            raise ValueError(f"names of endpoints must differ, not {names}")
        return self
