"""The beta dialect, for clients that ask for it: renames GA events on the way out, beta settings on the way in."""

from typing import Any, Final

from voicectl.media.transports.realtime.audio_format import FORMATS
from voicectl.media.transports.realtime.errors import INVALID_VALUE, UNKNOWN_PARAMETER, ClientEventError
from voicectl.media.transports.realtime.server_events import Json

EVENT_NAMES: Final = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}
DROPPED_EVENTS: Final = frozenset({"conversation.item.done"})
CONTENT_NAMES: Final = {"output_audio": "audio", "output_text": "text"}
SESSION_PATHS: Final[dict[str, tuple[str, ...]]] = {
    "modalities": ("output_modalities",),
    "max_response_output_tokens": ("max_output_tokens",),
    "input_audio_format": ("audio", "input", "format"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "turn_detection": ("audio", "input", "turn_detection"),
    "output_audio_format": ("audio", "output", "format"),
    "speed": ("audio", "output", "speed"),
    "voice": ("audio", "output", "voice"),
}
RESPONSE_PATHS: Final[dict[str, tuple[str, ...]]] = {
    "modalities": ("output_modalities",),
    "max_response_output_tokens": ("max_output_tokens",),
    "output_audio_format": ("audio", "output", "format"),
    "voice": ("audio", "output", "voice"),
}
IGNORED_SETTINGS: Final = frozenset({"temperature", "client_secret"})
"""Beta settings without a GA counterpart: sampling belongs to the profile."""

_GA_FORMATS: Final = {fmt.beta_name: fmt for fmt in FORMATS.values()}
_BETA_FORMATS: Final = {fmt.name: fmt.beta_name for fmt in FORMATS.values()}
_CONTENT_TYPES_IN: Final = {"text": "output_text", "audio": "output_audio"}


def to_ga(event: dict[str, Any]) -> dict[str, Any]:
    """Return a beta client event in GA form. Raises ClientEventError; other faults are left to the GA models."""
    if event.get("type") == "session.update" and isinstance(event.get("session"), dict):
        return {**event, "session": _settings_to_ga(event["session"], SESSION_PATHS, "session")}
    if event.get("type") == "response.create" and isinstance(event.get("response"), dict):
        return {**event, "response": _settings_to_ga(event["response"], RESPONSE_PATHS, "response")}
    item = event.get("item")
    if event.get("type") == "conversation.item.create" and isinstance(item, dict) and item.get("role") == "assistant":
        content = item.get("content")
        if isinstance(content, list):
            parts = [_renamed(part, _CONTENT_TYPES_IN) if isinstance(part, dict) else part for part in content]
            return {**event, "item": {**item, "content": parts}}
    return event


def _settings_to_ga(settings: dict[str, Any], paths: dict[str, tuple[str, ...]], root: str) -> dict[str, Any]:
    ga: dict[str, Any] = {}
    for name, value in settings.items():
        if name in IGNORED_SETTINGS:
            continue
        if name == "audio":
            message = "audio is a GA parameter: connect without the header OpenAI-Beta, or use the beta names"
            raise ClientEventError(UNKNOWN_PARAMETER, message, param=f"{root}.audio")
        path = paths.get(name, (name,))
        target = ga
        for step in path[:-1]:
            target = target.setdefault(step, {})
        target[path[-1]] = _value_to_ga(name, value, root)
    return ga


def _value_to_ga(name: str, value: Any, root: str) -> Any:
    if name.endswith("_audio_format"):
        if not isinstance(value, str) or value not in _GA_FORMATS:
            known = ", ".join(_GA_FORMATS)
            raise ClientEventError(
                INVALID_VALUE, f"{name} is one of {known}, not {value!r:.80}", param=f"{root}.{name}"
            )
        return _GA_FORMATS[value].as_ga()
    # Beta clients ask for both where they want speech with its transcript, which is what GA's "audio" means.
    if name == "modalities" and isinstance(value, list) and sorted(map(str, value)) == ["audio", "text"]:
        return ["audio"]
    return value


def from_ga(event: Json) -> Json | None:
    """Return a GA server event in beta form, None where beta knows no such event."""
    kind = event["type"]
    if kind in DROPPED_EVENTS:
        return None
    changed = {**event, "type": EVENT_NAMES.get(kind, kind)}
    if "session" in event:
        changed["session"] = _settings_from_ga(event["session"], SESSION_PATHS)
    if "response" in event:
        response = _settings_from_ga(event["response"], RESPONSE_PATHS)
        changed["response"] = {**response, "output": [_item_from_ga(item) for item in response["output"]]}
    if "item" in event:
        changed["item"] = _item_from_ga(event["item"])
    return changed


def _settings_from_ga(settings: Json, paths: dict[str, tuple[str, ...]]) -> Json:
    moved = {path[0] for path in paths.values()} | {"type", "truncation", "tracing", "include"}
    beta: Json = {name: value for name, value in settings.items() if name not in moved}
    for name, path in paths.items():
        value: Any = settings
        for step in path:
            value = value[step]
        if name.endswith("_audio_format"):
            value = _BETA_FORMATS[value["type"]]
        beta[name] = ["audio", "text"] if name == "modalities" and value == ["audio"] else value
    if "max_output_tokens" in settings and paths is RESPONSE_PATHS:
        beta["max_output_tokens"] = beta.pop("max_response_output_tokens")
    return beta


def _item_from_ga(item: Json) -> Json:
    if "content" not in item:
        return item
    return {**item, "content": [_renamed(part, CONTENT_NAMES) for part in item["content"]]}


def _renamed(part: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    kind = part.get("type")
    return {**part, "type": names.get(kind, kind)} if isinstance(kind, str) else part


def beta_param(param: str | None) -> str | None:
    """Return a GA parameter path under the name that a beta client used."""
    if param is None:
        return None
    for root, paths in (("session", SESSION_PATHS), ("response", RESPONSE_PATHS)):
        for name, path in paths.items():
            ga = ".".join((root, *path))
            if param == ga or param.startswith(ga + "."):
                return f"{root}.{name}{param[len(ga) :]}"
    return param
