"""Entries of a conversation as clients add them: strict models, and what they mean for the call."""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from voicectl.core import events as ev
from voicectl.media.transports.realtime import server_events as out
from voicectl.media.transports.realtime.errors import (
    INVALID_TYPE,
    INVALID_VALUE,
    MISSING_PARAMETER,
    UNSUPPORTED,
    ClientEventError,
)

Id = Annotated[str, Field(min_length=1, max_length=128)]
MAX_INPUT_ITEMS: Final = 256

_TEXT_PARTS: Final = {"system": ("input_text",), "user": ("input_text",), "assistant": ("output_text", "output_audio")}


class _Lenient(BaseModel):
    """Unknown fields are dropped: newer clients add some that change nothing here."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class Content(_Lenient):
    """A part of a message."""

    type: str
    text: str | None = None
    transcript: str | None = None
    audio: str | None = None


class NewItem(_Lenient):
    """An entry that the client adds: a message, a call of a function, or what a call returned."""

    type: str
    id: Id | None = None
    role: Literal["system", "user", "assistant"] | None = None
    content: list[Content] | None = None
    call_id: Id | None = None
    name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    arguments: str | None = None
    output: str | None = None


_NEW_ITEM: Final = TypeAdapter(NewItem)


def new_item(wanted: NewItem, root: str = "item") -> ev.Item:
    """Return the entry that a client adds; `root` is where errors say it stands. Raises ClientEventError."""
    match wanted.type:
        case "message":
            return _message(wanted, root)
        case "function_call":
            return _function_call(wanted, root)
        case "function_call_output":
            return _function_call_output(wanted, root)
    raise ClientEventError(UNSUPPORTED, f"items of type {wanted.type!r:.80} are not supported", param=f"{root}.type")


def new_items(wanted: list[Any], root: str) -> tuple[ev.Item, ...]:
    """Return the entries of a prompt that a client gives for one reply. Raises ClientEventError."""
    if len(wanted) > MAX_INPUT_ITEMS:
        raise ClientEventError(INVALID_VALUE, f"{len(wanted)} items are more than {MAX_INPUT_ITEMS}", param=root)
    items = []
    for index, each in enumerate(wanted):
        try:
            items.append(new_item(_NEW_ITEM.validate_python(each), f"{root}.{index}"))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            param = ".".join([root, str(index), *(str(part) for part in first["loc"])])
            code = MISSING_PARAMETER if first["type"] == "missing" else INVALID_TYPE
            raise ClientEventError(code, f"{param}: {first['msg']}", param=param) from error
    return tuple(items)


def _message(wanted: NewItem, root: str) -> ev.Item:
    if wanted.role is None:
        raise ClientEventError(MISSING_PARAMETER, f"{root}.role is required", param=f"{root}.role")
    if not wanted.content:
        raise ClientEventError(MISSING_PARAMETER, f"{root}.content is required", param=f"{root}.content")
    parts = enumerate(wanted.content)
    texts = [_text_of(part, wanted.role, f"{root}.content.{index}") for index, part in parts]
    spoken = any(part.type == "output_audio" for part in wanted.content)
    return ev.Item(
        item_id=wanted.id or out.new_id("item"),
        role=wanted.role,
        text="\n".join(texts),
        modality="audio" if spoken else "text",
    )


def _text_of(part: Content, role: ev.Role, param: str) -> str:
    if part.type == "input_audio":
        raise ClientEventError(
            UNSUPPORTED, "input_audio items are not supported: use input_audio_buffer.append", param=f"{param}.type"
        )
    if part.type not in _TEXT_PARTS[role]:
        known = " or ".join(_TEXT_PARTS[role])
        code = UNSUPPORTED if part.type == "input_image" else INVALID_VALUE
        raise ClientEventError(
            code, f"content of a {role} message is {known}, not {part.type!r:.80}", param=f"{param}.type"
        )
    field = "transcript" if part.type == "output_audio" else "text"
    text = part.transcript if field == "transcript" else part.text
    if text is None:
        raise ClientEventError(MISSING_PARAMETER, f"{param}.{field} is required", param=f"{param}.{field}")
    return text


def _function_call(wanted: NewItem, root: str) -> ev.Item:
    if wanted.name is None:
        raise ClientEventError(MISSING_PARAMETER, f"{root}.name is required", param=f"{root}.name")
    if wanted.arguments is None:
        raise ClientEventError(MISSING_PARAMETER, f"{root}.arguments is required", param=f"{root}.arguments")
    # Some clients write "" for a function without parameters.
    arguments = wanted.arguments.strip() or "{}"
    try:
        known = isinstance(json.loads(arguments), dict)
    except (ValueError, RecursionError):
        known = False
    if not known:
        raise ClientEventError(
            INVALID_VALUE, f"arguments are a JSON object as text, not {arguments!r:.80}", param=f"{root}.arguments"
        )
    return ev.Item(
        item_id=wanted.id or out.new_id("item"),
        role="assistant",
        text=arguments,
        kind="function_call",
        call_id=wanted.call_id or out.new_id("call"),
        name=wanted.name,
    )


def _function_call_output(wanted: NewItem, root: str) -> ev.Item:
    if wanted.call_id is None:
        raise ClientEventError(MISSING_PARAMETER, f"{root}.call_id is required", param=f"{root}.call_id")
    if wanted.output is None:
        raise ClientEventError(MISSING_PARAMETER, f"{root}.output is required", param=f"{root}.output")
    return ev.Item(
        item_id=wanted.id or out.new_id("item"),
        role="tool",
        text=wanted.output,
        kind="function_call_output",
        call_id=wanted.call_id,
    )
