"""The wire without a socket: frames to actions, events to frames."""

import base64
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.conformance import validate_frame
from voicectl.core import events as ev
from voicectl.media.transports.realtime.protocol import RealtimeProtocol, Received
from voicectl.media.transports.realtime.session import SessionDefaults

DEFAULTS = SessionDefaults(instructions="Be kind.", voice="joe", transcription_model="tiny", hotwords="profile words")


def protocol(**options: Any) -> RealtimeProtocol:
    return RealtimeProtocol("sess_1", "model-1", defaults=DEFAULTS, **options)


def told(wire: RealtimeProtocol, **event: Any) -> Received:
    return wire.receive(json.dumps(event), at=1.5)


def refused(received: Received) -> dict[str, Any]:
    assert received.actions == ()
    (event,) = received.events
    validate_frame(event)
    error: dict[str, Any] = event["error"]
    return error


def update(wire: RealtimeProtocol, **session: Any) -> Received:
    return told(wire, type="session.update", event_id="u1", session={"type": "realtime", **session})


def settings(received: Received) -> ev.SessionSettings:
    (action,) = received.actions
    assert isinstance(action, ev.SessionConfigured)
    assert action.event_id == "u1"
    return action.settings


def sent(wire: RealtimeProtocol, event: ev.CallEvent, *, beta: bool = False) -> list[dict[str, Any]]:
    frames = wire.send(event, at=9.0)
    for frame in frames:
        validate_frame(json.loads(json.dumps(frame)), beta=beta)
    return frames


STARTED = ev.ResponseStarted("resp_1", "item_1", "item_0", "audio", {"client_event_id": "c"})


def ended(status: ev.ResponseStatus = "completed", **fields: Any) -> ev.ResponseEnded:
    return ev.ResponseEnded("resp_1", "item_1", status, "Hi.", fields.pop("modality", "audio"), **fields)


# --- session -------------------------------------------------------------------------------------


def test_the_greeting_shows_what_the_session_really_is() -> None:
    (created,) = protocol().opening()
    validate_frame(created)
    session = created["session"]
    assert session["instructions"] == "Be kind."
    assert session["audio"]["output"]["voice"] == "joe"
    assert session["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
    assert session["audio"]["input"]["transcription"]["model"] == "tiny"


def test_an_update_changes_only_what_it_names_and_is_echoed_whole() -> None:
    wire = protocol()
    assert settings(update(wire, instructions="Be brief.")) == ev.SessionSettings(instructions="Be brief.")
    update(wire, output_modalities=["text"], max_output_tokens=40)
    first = sent(wire, ev.SettingsChanged(ev.SessionSettings(), "u1"))[0]["session"]
    assert (first["instructions"], first["output_modalities"]) == ("Be brief.", ["audio"])
    second = sent(wire, ev.SettingsChanged(ev.SessionSettings(), "u1"))[0]["session"]
    assert (second["instructions"], second["output_modalities"]) == ("Be brief.", ["text"])
    assert second["max_output_tokens"] == 40
    assert second["audio"]["output"]["voice"] == "joe"


def test_no_limit_on_tokens_means_the_profiles_limit() -> None:
    assert settings(update(protocol(), max_output_tokens="inf")).max_output_tokens == DEFAULTS.max_output_tokens


def test_server_vad_sets_threshold_and_pause() -> None:
    detection = {"type": "server_vad", "threshold": 0.7, "silence_duration_ms": 450, "interrupt_response": False}
    wire = protocol()
    assert settings(update(wire, audio={"input": {"turn_detection": detection}})) == ev.SessionSettings(
        endpointing="silence",
        create_response=True,
        interrupt_response=False,
        silence_ms=450,
        patience=1.0,
        vad_threshold=0.7,
    )
    shown = sent(wire, ev.SettingsChanged(ev.SessionSettings(), "u1"))[0]["session"]["audio"]["input"]["turn_detection"]
    assert shown["silence_duration_ms"] == 450
    assert shown["prefix_padding_ms"] == DEFAULTS.prefix_padding_ms


def test_turn_detection_null_leaves_the_turns_to_the_client() -> None:
    changed = settings(update(protocol(), audio={"input": {"turn_detection": None}}))
    assert changed == ev.SessionSettings(endpointing="off")


@pytest.mark.parametrize(("eagerness", "rank"), [("high", -1), ("medium", 0), ("auto", 0), ("low", 1)])
def test_eagerness_moves_the_patience(eagerness: str, rank: int) -> None:
    detection = {"type": "semantic_vad", "eagerness": eagerness}
    changed = settings(update(protocol(), audio={"input": {"turn_detection": detection}}))
    assert changed.endpointing == "semantic"
    assert changed.patience is not None
    assert (changed.patience > 1) - (changed.patience < 1) == rank


def test_transcription_turns_on_and_off_and_its_prompt_becomes_hotwords() -> None:
    wire = protocol()
    wanted = {"model": "any", "prompt": "voicectl", "language": "en-GB"}
    on = settings(update(wire, audio={"input": {"transcription": wanted}}))
    assert (on.transcription_enabled, on.hotwords) == (True, "voicectl")
    off = settings(update(wire, audio={"input": {"transcription": None}}))
    assert (off.transcription_enabled, off.hotwords) == (False, "profile words")


def test_wishes_that_cannot_be_honoured_but_harm_nobody_are_taken_and_shown_as_they_are() -> None:
    wire = protocol()
    wishes = {"voice": "marin", "speed": 1.2, "format": {"type": "audio/pcm", "rate": 24000}}
    received = update(
        wire, model="gpt-realtime", tools=[], tool_choice="auto", tracing="auto", truncation="auto",
        audio={"input": {"noise_reduction": {"type": "near_field"}}, "output": wishes},
    )  # fmt: skip
    assert settings(received) == ev.SessionSettings(speed=1.2, tools=(), tool_choice="auto", forced_tool="")
    session = sent(wire, ev.SettingsChanged(ev.SessionSettings(), "u1"))[0]["session"]
    assert session["model"] == "model-1"
    assert session["audio"]["output"]["voice"] == "joe"
    assert session["audio"]["input"]["noise_reduction"] is None


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({"foo": 1}, "unknown_parameter", "session.foo"),
        ({"type": "transcription"}, "invalid_value", "session.type"),
        ({"instructions": 5}, "invalid_type", "session.instructions"),
        ({"output_modalities": ["audio", "text"]}, "invalid_value", "session.output_modalities"),
        ({"output_modalities": ["video"]}, "invalid_value", "session.output_modalities.0"),
        ({"max_output_tokens": 0}, "invalid_value", "session.max_output_tokens"),
        ({"max_output_tokens": "many"}, "invalid_type", "session.max_output_tokens"),
        ({"tools": [{"type": "mcp", "server_label": "s"}]}, "unsupported", "session.tools.0.type"),
        ({"tools": [{"name": "f"}]}, "missing_required_parameter", "session.tools.0.type"),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools.0.name"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "invalid_value", "session.tools.0.name"),
        ({"tools": [{"type": "function", "name": 5}]}, "invalid_type", "session.tools.0.name"),
        ({"tools": [{"type": "function", "name": "f"}] * 2}, "invalid_value", "session.tools.1.name"),
        (
            {"tools": [{"type": "function", "name": "f", "parameters": []}]},
            "invalid_type",
            "session.tools.0.parameters",
        ),
        (
            {"tools": [{"type": "function", "name": "f", "parameters": {"type": "string"}}]},
            "invalid_value",
            "session.tools.0.parameters.type",
        ),
        (
            {"tools": [{"type": "function", "name": "f", "description": 1}]},
            "invalid_type",
            "session.tools.0.description",
        ),
        ({"tools": ["f"]}, "invalid_type", "session.tools.0"),
        ({"tools": "f"}, "invalid_type", "session.tools"),
        ({"tool_choice": "maybe"}, "invalid_value", "session.tool_choice"),
        ({"tool_choice": 7}, "invalid_type", "session.tool_choice"),
        ({"tool_choice": {"type": "mcp", "server_label": "s"}}, "unsupported", "session.tool_choice.type"),
        ({"tool_choice": {"type": "function"}}, "missing_required_parameter", "session.tool_choice.name"),
        ({"prompt": {"id": "p"}}, "unsupported", "session.prompt"),
        ({"audio": {"output": {"speed": 9}}}, "invalid_value", "session.audio.output.speed"),
        ({"audio": {"input": {"format": {"type": "audio/mp3"}}}}, "invalid_value", "session.audio.input.format.type"),
        (
            {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 8000}}}},
            "invalid_value",
            "session.audio.input.format.rate",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "psychic"}}}},
            "invalid_value",
            "session.audio.input.turn_detection",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}},
            "invalid_value",
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000}}}},
            "unsupported",
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        (
            {"audio": {"input": {"transcription": {"language": "fr"}}}},
            "unsupported",
            "session.audio.input.transcription.language",
        ),
    ],
)
def test_a_wrong_setting_is_named_and_changes_nothing(session: dict[str, Any], code: str, param: str) -> None:
    wire = protocol()
    before = wire.session
    error = refused(update(wire, **{"instructions": "new", **session}))
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "u1")
    assert wire.session is before


# --- audio ---------------------------------------------------------------------------------------


def append(wire: RealtimeProtocol, audio: bytes) -> Received:
    return told(wire, type="input_audio_buffer.append", event_id="a1", audio=base64.b64encode(audio).decode())


def test_audio_arrives_as_16_bit_samples_with_its_instant() -> None:
    assert append(protocol(), b"\x01\x00\x02\x00").actions == (ev.AudioReceived(b"\x01\x00\x02\x00", 24_000, 1.5),)


def test_empty_audio_is_nothing() -> None:
    assert append(protocol(), b"") == Received()


def test_half_a_sample_is_an_error() -> None:
    error = refused(append(protocol(), b"\x01\x00\x02"))
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_audio", "audio", "a1")


def test_the_input_format_changes_with_the_very_next_append() -> None:
    wire = protocol()
    update(wire, audio={"input": {"format": {"type": "audio/pcmu"}}})
    (action,) = append(wire, b"\xff" * 3).actions
    assert isinstance(action, ev.AudioReceived)
    assert (action.sample_rate, len(action.pcm)) == (8000, 6)


def test_the_size_limit_counts_bytes_not_characters() -> None:
    wire = protocol(max_message_bytes=2000)
    assert refused(wire.receive('{"type": "' + "é" * 990 + '"}', at=0))["code"] == "invalid_value"
    assert refused(wire.receive('{"type": "' + "é" * 1000 + '"}', at=0))["code"] == "message_too_large"


# --- items and responses ---------------------------------------------------------------------------


def item(wire: RealtimeProtocol, **fields: Any) -> Received:
    return told(wire, type="conversation.item.create", event_id="i1", item={"type": "message", **fields})


def test_an_item_keeps_its_id_and_place() -> None:
    received = told(
        protocol(), type="conversation.item.create", previous_item_id="root", event_id="i1",
        item={"type": "message", "id": "mine", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    )  # fmt: skip
    assert received.actions == (ev.ItemCreateRequested(ev.Item("mine", "user", "Hi"), "root", "i1"),)


def test_a_spoken_entry_of_an_earlier_call_comes_back_by_its_transcript() -> None:
    (action,) = item(protocol(), role="assistant", content=[{"type": "output_audio", "transcript": "Hello"}]).actions
    assert isinstance(action, ev.ItemCreateRequested)
    assert (action.item.text, action.item.modality) == ("Hello", "audio")
    assert action.item.item_id.startswith("item_")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"type": "mcp_call", "id": "m"}, "unsupported", "item.type"),
        ({"type": "function_call_output", "output": "x"}, "missing_required_parameter", "item.call_id"),
        ({"type": "function_call_output", "call_id": "c"}, "missing_required_parameter", "item.output"),
        ({"type": "function_call", "arguments": "{}"}, "missing_required_parameter", "item.name"),
        ({"type": "function_call", "name": "f"}, "missing_required_parameter", "item.arguments"),
        ({"type": "function_call", "name": "f", "arguments": "[1"}, "invalid_value", "item.arguments"),
        ({"content": [{"type": "input_text", "text": "x"}]}, "missing_required_parameter", "item.role"),
        ({"role": "user"}, "missing_required_parameter", "item.content"),
        ({"role": "user", "content": []}, "missing_required_parameter", "item.content"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "missing_required_parameter", "item.content.0.text"),
        ({"role": "user", "content": [{"type": "input_audio", "audio": ""}]}, "unsupported", "item.content.0.type"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "unsupported", "item.content.0.type"),
        ({"role": "system", "content": [{"type": "output_text", "text": "x"}]}, "invalid_value", "item.content.0.type"),
        ({"role": "robot", "content": [{"type": "input_text", "text": "x"}]}, "invalid_value", "item.role"),
    ],
)
def test_an_item_that_cannot_be_honoured_is_an_error(fields: dict[str, Any], code: str, param: str) -> None:
    error = refused(item(protocol(), **fields))
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "i1")


def test_the_other_client_events_become_actions() -> None:
    wire = protocol()
    assert told(wire, type="input_audio_buffer.commit").actions == (ev.AudioCommitRequested(),)
    assert told(wire, type="input_audio_buffer.clear", event_id="x").actions == (ev.AudioClearRequested("x"),)
    assert told(wire, type="conversation.item.delete", item_id="i").actions == (ev.ItemDeleteRequested("i"),)
    assert told(wire, type="conversation.item.retrieve", item_id="i").actions == (ev.ItemRetrieveRequested("i"),)
    truncate = {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 5}
    assert told(wire, **truncate).actions == (ev.ItemTruncateRequested("i", 5),)
    assert told(wire, type="response.cancel", response_id="r").actions == (ev.ResponseCancelRequested("r"),)


def test_a_response_request_carries_its_wishes() -> None:
    wanted = {"instructions": "x", "output_modalities": ["text"], "max_output_tokens": 9, "metadata": {"k": "v"}}
    received = told(protocol(), type="response.create", event_id="r1", response=wanted)
    assert received.actions == (ev.ResponseRequested("x", "text", 9, {"k": "v"}, "r1"),)
    assert told(protocol(), type="response.create").actions == (ev.ResponseRequested(),)


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"tools": [{"type": "mcp"}]}, "response.tools.0.type"),
        ({"input": [{"type": "item_reference", "id": "i"}]}, "response.input.0.type"),
        ({"prompt": {"id": "p"}}, "response.prompt"),
        ({"audio": {"output": {"format": {"type": "audio/pcmu"}}}}, "response.audio.output.format"),
    ],
)
def test_a_response_request_that_cannot_be_honoured_is_an_error(response: dict[str, Any], param: str) -> None:
    error = refused(told(protocol(), type="response.create", event_id="r1", response=response))
    assert (error["code"], error["param"], error["event_id"]) == ("unsupported", param, "r1")


# --- replies -------------------------------------------------------------------------------------


def test_a_reply_has_its_events_in_order() -> None:
    wire = protocol()
    frames = sent(wire, STARTED)
    frames += sent(wire, ev.ReplyText("resp_1", "item_1", "Hi."))
    frames += sent(wire, ev.ReplyAudio("resp_1", "item_1", b"\0\0" * 480, 24_000))
    frames += sent(wire, ended(usage=ev.TokenUsage(10, 4, 3), metadata=STARTED.metadata))
    assert [frame["type"] for frame in frames] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio_transcript.delta",
        "response.output_audio.delta",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    assert frames[0]["response"]["metadata"] == frames[-1]["response"]["metadata"] == {"client_event_id": "c"}
    assert frames[2]["previous_item_id"] == "item_0"
    usage = frames[-1]["response"]["usage"]
    assert (usage["total_tokens"], usage["input_token_details"]["cached_tokens"]) == (13, 4)
    assert usage["output_token_details"] == {"text_tokens": 3, "audio_tokens": 0}


def test_a_text_reply_has_no_audio_events() -> None:
    wire = protocol()
    frames = sent(wire, ev.ResponseStarted("resp_1", "item_1", None, "text"))
    frames += sent(wire, ev.ReplyText("resp_1", "item_1", "Hi."))
    frames += sent(wire, ended(modality="text"))
    kinds = [frame["type"] for frame in frames]
    assert "response.output_text.delta" in kinds
    assert "response.output_text.done" in kinds
    assert not any("audio" in kind for kind in kinds)


def test_audio_is_resampled_to_the_format_the_reply_began_with() -> None:
    wire = protocol()
    sent(wire, STARTED)
    update(wire, audio={"output": {"format": {"type": "audio/pcmu"}}})
    frames = [
        frame for _ in range(10) for frame in sent(wire, ev.ReplyAudio("resp_1", "item_1", b"\0\0" * 2205, 22_050))
    ]
    frames += sent(wire, ended())
    pcm = b"".join(base64.b64decode(f["delta"]) for f in frames if f["type"] == "response.output_audio.delta")
    assert abs(len(pcm) / 2 - 24_000) <= 2
    assert frames[-1]["response"]["audio"]["output"]["format"]["type"] == "audio/pcm"


@pytest.mark.parametrize(
    ("status", "reason", "details"),
    [
        ("cancelled", "turn_detected", {"type": "cancelled", "reason": "turn_detected"}),
        ("cancelled", None, {"type": "cancelled"}),
        ("incomplete", "max_output_tokens", {"type": "incomplete", "reason": "max_output_tokens"}),
    ],
)
def test_a_reply_that_did_not_complete_says_why(
    status: ev.ResponseStatus, reason: str | None, details: dict[str, str]
) -> None:
    wire = protocol()
    sent(wire, STARTED)
    done = sent(wire, ended(status, reason=reason))[-1]["response"]
    assert done["status_details"] == details
    assert done["output"][0]["status"] == "incomplete"


def test_a_reply_that_failed_before_it_began_is_still_whole() -> None:
    frames = sent(protocol(), ended("failed", reason="the language model did not answer"))
    assert frames[0]["type"] == "response.created"
    details = frames[-1]["response"]["status_details"]
    assert details["error"]["message"] == "the language model did not answer"


def test_the_entry_of_a_reply_is_announced_once_at_its_place() -> None:
    wire = protocol()
    sent(wire, STARTED)
    added = ev.ItemAdded(ev.Item("item_1", "assistant", "", "audio", complete=False), "item_7")
    frames = sent(wire, added)
    assert [frame["type"] for frame in frames] == [
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
    ]
    assert frames[1]["previous_item_id"] == "item_7"
    assert sent(wire, added) == []
    assert [frame["type"] for frame in sent(wire, ev.ReplyText("resp_1", "item_1", "Hi."))] == [
        "response.output_audio_transcript.delta"
    ]
    done = [frame for frame in sent(wire, ended()) if frame["type"] == "conversation.item.done"]
    assert done[0]["previous_item_id"] == "item_7"


def test_a_reply_without_words_has_no_message() -> None:
    wire = protocol()
    sent(wire, STARTED)
    (done,) = sent(wire, ev.ResponseEnded("resp_1", "item_1", "cancelled", "", "audio", reason="turn_detected"))
    assert done["response"]["output"] == []


def test_stage_times_never_overwrite_the_clients_metadata_and_are_finite() -> None:
    wire = protocol(timings=True)
    sent(wire, STARTED)
    times = ev.StageTimes(committed_at=3.25, first_sent_at=math.nan)
    done = sent(wire, ended(times=times, metadata={"a": "b"}))[-1]["response"]
    stages = json.loads(done["metadata"]["voicectl.times"])
    assert done["metadata"]["a"] == "b"
    assert (stages["committed_at"], stages["first_sent_at"], stages["session_now"]) == (3.25, None, 9.0)
    sent(wire, STARTED)
    own = {"voicectl.times": "mine"}
    assert sent(wire, ended(times=times, metadata=own))[-1]["response"]["metadata"] == own


# --- the caller's turns --------------------------------------------------------------------------


def test_a_turn_of_the_caller_on_the_wire() -> None:
    wire = protocol()
    user = ev.Item("item_2", "user", "so so", "audio")
    frames = [
        frame
        for event in (
            ev.SpeechStarted("item_2", 1.2345),
            ev.TranscriptDelta("item_2", "so"),
            ev.SpeechStopped("item_2", 2.5),
            ev.AudioCommitted("item_2", "item_1"),
            ev.ItemAdded(user, "item_1"),
            ev.TranscriptFinal("item_2", "so so", 1.26),
            ev.ItemDone(user, "item_1"),
            ev.ItemTruncated("item_1", 300, "Hel"),
            ev.ItemDeleted("item_2"),
            ev.AudioCleared(),
            ev.TranscriptFailed("item_3", "no"),
        )
        for frame in sent(wire, event)
    ]
    assert frames[0]["audio_start_ms"] == 1234
    assert frames[2]["audio_end_ms"] == 2500
    assert frames[3]["previous_item_id"] == "item_1"
    assert frames[5]["usage"] == {"type": "duration", "seconds": 1.26}
    assert frames[-1]["error"]["message"] == "no"


def test_noise_ends_what_it_began() -> None:
    wire = protocol()
    sent(wire, ev.SpeechStarted("item_2", 1.0))
    sent(wire, ev.TranscriptDelta("item_2", "hm"))
    frames = sent(wire, ev.SpeechDiscarded("item_2"))
    assert [frame["type"] for frame in frames] == [
        "input_audio_buffer.speech_stopped",
        "conversation.item.input_audio_transcription.failed",
    ]
    assert sent(wire, ev.SpeechDiscarded("item_9")) == []


def test_a_refused_action_is_an_error_with_its_code() -> None:
    rejected = ev.ActionRejected("response_cancel_not_active", "Cancellation failed: none", "c1")
    error = sent(protocol(), rejected)[0]["error"]
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "c1")


def test_no_number_on_the_wire_is_infinite() -> None:
    frame = sent(protocol(), ev.SpeechStarted("i", math.inf))[0]
    assert frame["audio_start_ms"] == 0


# --- anything at all -----------------------------------------------------------------------------

KINDS = st.sampled_from(
    ["session.update", "input_audio_buffer.append", "conversation.item.create", "conversation.item.truncate",
     "response.create", "response.cancel", "x"]
)  # fmt: skip
NAMES = st.sampled_from(
    ["type", "session", "audio", "input", "output", "format", "turn_detection", "item", "role", "content", "text",
     "response", "metadata", "modalities", "voice", "input_audio_format", "tools", "item_id", "event_id", "speed"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["message", "user", "assistant", "realtime", "server_vad", "audio/pcm", "pcm16", "input_text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(kind=KINDS, fields=st.dictionaries(NAMES, JSON, max_size=5), beta=st.booleans())
def test_nothing_a_client_sends_raises(kind: str, fields: dict[str, Any], beta: bool) -> None:
    wire = protocol(beta=beta)
    received = wire.receive(json.dumps({**fields, "type": kind}), at=0.0)
    for frame in received.events:
        validate_frame(frame, beta=beta)
    for action in received.actions:
        assert not isinstance(action, ev.CallerLeft)


@given(frame=st.text(max_size=60) | st.binary(max_size=60))
def test_no_frame_raises(frame: str | bytes) -> None:
    assert protocol().receive(frame, at=0.0).actions == ()
