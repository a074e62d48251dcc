"""Builders of GA server events: plain JSON objects, complete as the wire's types demand."""

import math
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from voicectl.core.events import Item, Modality, ResponseEnded, TokenUsage

Json = dict[str, Any]


def new_id(prefix: str) -> str:
    """Return a fresh id such as `event_5f0c…`."""
    return f"{prefix}_{uuid4().hex[:24]}"


def event(kind: str, **fields: Any) -> Json:
    """Return a server event with a fresh id."""
    return {"type": kind, "event_id": new_id("event"), **fields}


def error(
    code: str | None,
    message: str,
    *,
    param: str | None = None,
    event_id: str | None = None,
    kind: str = "invalid_request_error",
) -> Json:
    """Return an `error` event; `event_id` is that of the client event it answers."""
    return event("error", error={"type": kind, "code": code, "message": message, "param": param, "event_id": event_id})


def milliseconds(position_s: float) -> int:
    """Return a stream position in whole milliseconds; the wire knows no negative or non-finite ones."""
    return max(0, round(position_s * 1000)) if math.isfinite(position_s) else 0


def wire_item(item: Item, *, in_progress: bool = False) -> Json:
    """Return a conversation item. An entry that is not complete is `in_progress`, or else `incomplete`."""
    unfinished = "in_progress" if in_progress else "incomplete"
    place = {
        "id": item.item_id,
        "object": "realtime.item",
        "type": item.kind,
        "status": "completed" if item.complete else unfinished,
    }
    match item.kind:
        case "function_call":
            return {**place, "call_id": item.call_id, "name": item.name, "arguments": item.text}
        case "function_call_output":
            return {**place, "call_id": item.call_id, "output": item.text}
    return {**place, "role": item.role, "content": [_content(item)] if item.text or item.role == "user" else []}


def _content(item: Item) -> Json:
    if item.role == "assistant":
        if item.modality == "audio":
            return {"type": "output_audio", "transcript": item.text}
        return {"type": "output_text", "text": item.text}
    if item.role == "user" and item.modality == "audio":
        return {"type": "input_audio", "transcript": item.text or None}
    return {"type": "input_text", "text": item.text}


def content_part(modality: Modality, text: str) -> Json:
    """Return the part of a `response.content_part.*` event."""
    return {"type": "audio", "transcript": text} if modality == "audio" else {"type": "text", "text": text}


def usage(tokens: TokenUsage) -> Json:
    """Return the full usage of a response; clients read the details without looking whether they are there."""
    return {
        "total_tokens": tokens.prompt_tokens + tokens.completion_tokens,
        "input_tokens": tokens.prompt_tokens,
        "output_tokens": tokens.completion_tokens,
        "input_token_details": {
            "text_tokens": tokens.prompt_tokens,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": tokens.cached_tokens,
            "cached_tokens_details": {"text_tokens": tokens.cached_tokens, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": tokens.completion_tokens, "audio_tokens": 0},
    }


_REASONS = frozenset({"turn_detected", "client_cancelled", "max_output_tokens", "content_filter"})


def status_details(ended: ResponseEnded) -> Json | None:
    """Return why a response did not complete, None when it did."""
    if ended.status == "completed":
        return None
    if ended.status == "failed":
        message = ended.reason or "the reply could not be made"
        return {"type": "failed", "error": {"type": "server_error", "code": "response_failed", "message": message}}
    details: Json = {"type": ended.status}
    if ended.reason in _REASONS:
        details["reason"] = ended.reason
    return details


def response(
    response_id: str,
    *,
    session: Mapping[str, Any],
    audio_format: Json,
    modality: Modality,
    status: str,
    metadata: dict[str, str] | None,
    output: list[Json],
    out_of_band: bool = False,
) -> Json:
    """Return a response object as it begins; `usage` and `status_details` are filled at its end."""
    return {
        "object": "realtime.response",
        "id": response_id,
        "status": status,
        "status_details": None,
        "output": output,
        "conversation_id": None if out_of_band else f"conv_{session['id'].removeprefix('sess_')}",
        "output_modalities": [modality],
        "max_output_tokens": session["max_output_tokens"],
        "audio": {"output": {"format": audio_format, "voice": session["audio"]["output"]["voice"]}},
        "usage": None,
        "metadata": metadata,
    }
