"""What a webhook says: the event and its JSON. Knows no receivers."""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from voicectl.core.sections.webhooks import EventType

MAX_TEXT: Final = 8000
MAX_ATTRIBUTES: Final = 32
MAX_ATTRIBUTE: Final = 256


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """Something that happened at `at`, seconds since the epoch.

    `spoken` is what was said; only receivers that asked for transcripts get it. `event_id` is the same in
    every attempt and for every receiver.
    """

    kind: EventType
    at: float
    facts: Mapping[str, Any]
    spoken: Mapping[str, Any] = field(default_factory=dict)
    event_id: str = field(default_factory=lambda: f"evt_{secrets.token_hex(16)}")


def body_of(event: WebhookEvent, *, include_transcripts: bool) -> bytes:
    """Return the JSON that is sent."""
    facts = {**event.facts, **event.spoken} if include_transcripts else dict(event.facts)
    return msgspec.json.encode({"type": event.kind, "timestamp": rfc3339(event.at), "data": facts})


def rfc3339(at: float) -> str:
    """Return an instant in UTC with milliseconds, cut and not rounded."""
    moment = datetime.fromtimestamp(math.floor(at * 1000) / 1000, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def bounded(text: str, limit: int = MAX_TEXT) -> str:
    """Return text that any receiver can read: of bounded length, and without halves of surrogate pairs."""
    return text[:limit].encode("utf-8", "replace").decode("utf-8")


def bounded_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return what a client said about its call, within bounds."""
    chosen = list(attributes.items())[:MAX_ATTRIBUTES]
    return {bounded(name, MAX_ATTRIBUTE): bounded(value, MAX_ATTRIBUTE) for name, value in chosen}
