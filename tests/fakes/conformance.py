"""Checks server frames against the event types of the stock SDK, more strictly than the SDK itself does."""

import math
from typing import Any

from openai.types.beta.realtime.realtime_server_event import RealtimeServerEvent as BetaServerEvent
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter

_GA: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
_BETA: TypeAdapter[Any] = TypeAdapter(BetaServerEvent)

# The service sends these although the SDK's types leave them out.
_UNTYPED = {"session.id", "session.object", "response.output_modalities"}


def validate_frame(frame: dict[str, Any], *, beta: bool = False) -> Any:
    """Return the typed event of a server frame. Raises AssertionError or ValidationError."""
    if beta and "session" in frame:
        # The beta types only know the names of the vendor's own models.
        frame = {**frame, "session": {**frame["session"], "model": "gpt-realtime"}}
    event = (_BETA if beta else _GA).validate_python(frame)
    assert event.type == frame["type"], f"{frame['type']} was read as {event.type}"
    assert event.event_id
    _check_numbers(frame, "")
    if not beta:
        unknown = set(_unknown_fields(event, "")) - _UNTYPED
        assert not unknown, f"{frame['type']} has fields that the SDK does not know: {sorted(unknown)}"
    return event


def _check_numbers(value: Any, path: str) -> None:
    if isinstance(value, float):
        assert math.isfinite(value), f"{path} is {value}"
    elif isinstance(value, dict):
        for key, inner in value.items():
            _check_numbers(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, f"{path}[]")


def _unknown_fields(value: Any, path: str) -> list[str]:
    if isinstance(value, list):
        return [name for inner in value for name in _unknown_fields(inner, path)]
    if not isinstance(value, BaseModel):
        return []
    prefix = f"{path}." if path else ""
    found = [f"{prefix}{name}" for name in value.model_extra or {}]
    for name in type(value).model_fields:
        found += _unknown_fields(getattr(value, name), f"{prefix}{name}")
    return found
