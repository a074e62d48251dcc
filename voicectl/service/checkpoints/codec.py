"""Turn a conversation into bytes and back. Strict: what it does not know in full, it does not read."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec

from voicectl.core.checkpoint import ConversationState
from voicectl.core.errors import VoicectlError
from voicectl.core.events import Item

VERSION: Final = 1


class UnreadableCheckpoint(VoicectlError):
    """The bytes are no conversation that this version can continue."""


class UnwritableCheckpoint(VoicectlError):
    """A conversation does not fit even without its entries, or holds characters that no encoding has."""


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    version: int
    state: ConversationState


class _Version(msgspec.Struct):
    version: int


_decoder: Final = msgspec.json.Decoder(_Record)
_version_decoder: Final = msgspec.json.Decoder(_Version)


def encode(state: ConversationState, *, max_bytes: int) -> bytes:
    """Return the bytes of a conversation; its oldest entries are cut until they fit.

    Raises UnwritableCheckpoint when the settings alone are larger.
    """
    try:
        encoded = msgspec.json.encode(_Record(VERSION, state))
    except UnicodeEncodeError as error:
        raise UnwritableCheckpoint(f"session {state.session_id}: half of a surrogate pair in its text") from error
    if len(encoded) <= max_bytes:
        return encoded
    frame = len(msgspec.json.encode(_Record(VERSION, replace(state, items=()))))
    if frame > max_bytes:
        raise UnwritableCheckpoint(
            f"session {state.session_id}: {frame} bytes without entries, the limit is {max_bytes}",
            hint="shorten the session's instructions and tools, or raise checkpoints.max_state_bytes",
        )
    # Each entry costs its own bytes and the comma behind it.
    sizes = [len(msgspec.json.encode(item)) + 1 for item in state.items]
    first_kept = len(sizes) - newest_that_fit(sizes, max_bytes - frame)
    return msgspec.json.encode(_Record(VERSION, replace(state, items=without_orphans(state.items[first_kept:]))))


def newest_that_fit(sizes: Sequence[int], room: int) -> int:
    """Return how many entries from the end take `room` bytes or fewer."""
    kept = 0
    for size in reversed(sizes):
        room -= size
        if room < 0:
            break
        kept += 1
    return kept


def without_orphans(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return the entries without outputs whose function call was cut: no prompt can be made of those."""
    calls = {item.call_id for item in items if item.kind == "function_call"}
    return tuple(item for item in items if item.kind != "function_call_output" or item.call_id in calls)


def decode(encoded: bytes, *, max_bytes: int) -> ConversationState:
    """Return the conversation. Raises UnreadableCheckpoint; the message quotes nothing that was said."""
    if len(encoded) > max_bytes:
        raise UnreadableCheckpoint(f"{len(encoded)} bytes, the limit is {max_bytes}")
    try:
        version = _version_decoder.decode(encoded).version
        if version != VERSION:
            raise UnreadableCheckpoint(f"version {version}, this voicectl reads {VERSION}")
        state = _decoder.decode(encoded).state
        known = msgspec.to_builtins(state)
        unknown = unknown_key(msgspec.json.decode(encoded)["state"], known)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableCheckpoint(str(error)) from error
    if unknown is not None:
        raise UnreadableCheckpoint(f"unknown field {unknown!r}")
    return state


def unknown_key(given: Any, known: Any, path: str = "") -> str | None:
    """Return the path of the first key of `given` that `known` lacks.

    Dataclasses are read leniently by msgspec; a field of a newer version must not be lost in silence.
    """
    if isinstance(given, Mapping) and isinstance(known, Mapping):
        for key, value in given.items():
            if key not in known:
                return f"{path}{key}"
            found = unknown_key(value, known[key], f"{path}{key}.")
            if found is not None:
                return found
    elif isinstance(given, list):
        for index, (value, other) in enumerate(zip(given, known, strict=True)):
            found = unknown_key(value, other, f"{path}{index}.")
            if found is not None:
                return found
    return None
