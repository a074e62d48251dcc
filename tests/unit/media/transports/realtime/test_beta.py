"""The beta dialect."""

import json
from typing import Any

import pytest

from tests.fakes.conformance import validate_frame
from voicectl.core import events as ev
from voicectl.media.transports.realtime.protocol import RealtimeProtocol
from voicectl.media.transports.realtime.session import SessionDefaults


def protocol() -> RealtimeProtocol:
    return RealtimeProtocol("sess_1", "m", defaults=SessionDefaults(), beta=True)


def error_of(wire: RealtimeProtocol, event: dict[str, Any]) -> dict[str, Any]:
    (frame,) = wire.receive(json.dumps(event), at=0.0).events
    validate_frame(frame, beta=True)
    error: dict[str, Any] = frame["error"]
    return error


def test_settings_under_beta_names_reach_the_call() -> None:
    session = {
        "modalities": ["text"],
        "input_audio_format": "g711_alaw",
        "turn_detection": {"type": "server_vad", "silence_duration_ms": 400},
        "input_audio_transcription": {"model": "whisper-1"},
        "max_response_output_tokens": 30,
        "temperature": 0.8,
        "voice": "alloy",
    }
    wire = protocol()
    (action,) = wire.receive(json.dumps({"type": "session.update", "session": session}), at=0.0).actions
    assert isinstance(action, ev.SessionConfigured)
    assert action.settings.output_modality == "text"
    assert action.settings.silence_ms == 400
    assert action.settings.max_output_tokens == 30
    (updated,) = wire.send(ev.SettingsChanged(action.settings), at=0.0)
    validate_frame(updated, beta=True)
    assert updated["session"]["modalities"] == ["text"]
    assert updated["session"]["input_audio_format"] == "g711_alaw"
    assert updated["session"]["max_response_output_tokens"] == 30


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"input_audio_format": "mp3"}, "invalid_value", "session.input_audio_format"),
        ({"modalities": []}, "invalid_value", "session.modalities"),
        (
            {"turn_detection": {"type": "server_vad", "threshold": 5}},
            "invalid_value",
            "session.turn_detection.threshold",
        ),
        ({"audio": {}}, "unknown_parameter", "session.audio"),
    ],
)
def test_errors_name_the_beta_parameter(session: dict[str, Any], code: str, param: str) -> None:
    error = error_of(protocol(), {"type": "session.update", "event_id": "e", "session": session})
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "e")


def test_beta_content_types_are_taken_from_and_given_to_the_client() -> None:
    wire = protocol()
    item = {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
    (action,) = wire.receive(json.dumps({"type": "conversation.item.create", "item": item}), at=0.0).actions
    assert isinstance(action, ev.ItemCreateRequested)
    assert action.item.text == "Hi"
    (added,) = wire.send(ev.ItemAdded(action.item, None), at=0.0)
    assert added["type"] == "conversation.item.created"
    assert added["item"]["content"] == [{"type": "text", "text": "Hi"}]
    assert wire.send(ev.ItemDone(action.item, None), at=0.0) == []
