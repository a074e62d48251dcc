"""Functions on the wire: what clients offer, how calls are told, and what no client may take for one."""

import json
from typing import Any

import pytest

from tests.fakes.conformance import validate_frame
from voicectl.core import events as ev
from voicectl.media.transports.realtime.protocol import RealtimeProtocol
from voicectl.media.transports.realtime.session import SessionDefaults

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tell the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
PARSED = ev.Tool(
    "get_weather",
    "Tell the weather.",
    '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}',
)
CALL = ev.Item("item_2", "assistant", '{"city":"Paris"}', kind="function_call", call_id="call_1", name="get_weather")
OUTPUT = ev.Item("item_3", "tool", "sunny", kind="function_call_output", call_id="call_1")


def protocol(**options: Any) -> RealtimeProtocol:
    return RealtimeProtocol("sess_1", "model-1", defaults=SessionDefaults(), **options)


def action(wire: RealtimeProtocol, **event: Any) -> Any:
    received = wire.receive(json.dumps(event), at=0.0)
    assert received.events == ()
    return received.actions[0]


def sent(wire: RealtimeProtocol, *events: ev.CallEvent, beta: bool = False) -> list[dict[str, Any]]:
    frames = [frame for event in events for frame in wire.send(event, at=1.0)]
    for frame in frames:
        validate_frame(json.loads(json.dumps(frame)), beta=beta)
    return frames


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]


@pytest.mark.parametrize("beta", [False, True])
def test_functions_reach_the_call_and_are_shown(beta: bool) -> None:
    wire = protocol(beta=beta)
    session = {"tools": [WEATHER], "tool_choice": "required", **({} if beta else {"type": "realtime"})}
    settings = action(wire, type="session.update", session=session).settings
    assert (settings.tools, settings.tool_choice, settings.forced_tool) == ((PARSED,), "required", "")
    (updated,) = sent(wire, ev.SettingsChanged(ev.SessionSettings()), beta=beta)
    assert updated["session"]["tools"] == [{key: value for key, value in WEATHER.items() if key != "strict"}]
    assert updated["session"]["tool_choice"] == "required"


def test_one_function_can_be_forced_and_let_go_again() -> None:
    wire = protocol()
    choice = {"type": "function", "name": "get_weather"}
    forced = action(wire, type="session.update", session={"type": "realtime", "tool_choice": choice}).settings
    assert (forced.tool_choice, forced.forced_tool) == ("required", "get_weather")
    assert sent(wire, ev.SettingsChanged(ev.SessionSettings()))[0]["session"]["tool_choice"] == choice
    free = action(wire, type="session.update", session={"type": "realtime", "tool_choice": "auto"}).settings
    assert (free.tool_choice, free.forced_tool) == ("auto", "")


def test_a_function_without_parameters_takes_none() -> None:
    wanted = {"type": "realtime", "tools": [{"type": "function", "name": "hang_up"}], "parallel_tool_calls": False}
    (tool,) = action(protocol(), type="session.update", session=wanted).settings.tools
    assert (tool.description, json.loads(tool.parameters)) == ("", {"type": "object", "properties": {}})


def test_a_reply_can_have_its_own_functions_prompt_and_place() -> None:
    wanted = action(
        protocol(), type="response.create", response={
            "conversation": "none", "tools": [WEATHER], "tool_choice": "none", "metadata": {"k": "v"},
            "input": [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""},
                {"type": "function_call_output", "call_id": "c", "output": "ok"},
            ],
        },
    )  # fmt: skip
    assert (wanted.out_of_band, wanted.tools, wanted.tool_choice) == (True, (PARSED,), "none")
    assert [(item.kind, item.role, item.text) for item in wanted.input] == [
        ("message", "user", "Hi"),
        ("function_call", "assistant", "{}"),
        ("function_call_output", "tool", "ok"),
    ]


def test_calls_and_outputs_of_earlier_conversations_can_be_added_and_come_back() -> None:
    wire = protocol()
    output = {"type": "function_call_output", "id": "mine", "call_id": "c", "output": "", "status": "completed"}
    added = action(wire, type="conversation.item.create", item=output)
    assert added.item == ev.Item("mine", "tool", "", kind="function_call_output", call_id="c")
    (frame, _) = sent(wire, ev.ItemAdded(added.item, None), ev.ItemDone(added.item, None))
    assert (frame["item"]["call_id"], frame["item"]["output"]) == ("c", "")
    (retrieved,) = sent(wire, ev.ItemRetrieved(CALL))
    assert (retrieved["item"]["name"], retrieved["item"]["arguments"]) == ("get_weather", '{"city":"Paris"}')


def test_a_reply_that_only_calls_has_no_message() -> None:
    wire = protocol()
    frames = sent(
        wire,
        ev.ResponseStarted("resp_1", "item_1", "item_0", "audio", {"client_event_id": "c"}),
        ev.ToolCalled("resp_1", CALL, "item_0"),
        ev.ResponseEnded("resp_1", "item_1", "completed", "", "audio", usage=ev.TokenUsage(9, 0, 4)),
    )
    assert kinds(frames) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "conversation.item.done",
        "response.done",
    ]
    begun, done = frames[2]["item"], frames[5]["item"]
    assert (begun["call_id"], begun["name"], begun["arguments"]) == ("call_1", "get_weather", "")
    assert (begun["status"], done["status"], done["arguments"]) == ("in_progress", "completed", '{"city":"Paris"}')
    assert frames[2]["previous_item_id"] == "item_0"
    assert frames[4]["name"] == "get_weather"
    assert frames[-1]["response"]["output"] == [done]
    assert frames[-1]["response"]["usage"]["total_tokens"] == 13


@pytest.mark.parametrize("beta", [False, True])
def test_a_call_behind_words_comes_second(beta: bool) -> None:
    wire = protocol(beta=beta)
    frames = sent(
        wire,
        ev.ResponseStarted("resp_1", "item_1", "item_0", "audio"),
        ev.ItemAdded(ev.Item("item_1", "assistant", "", "audio", complete=False), "item_0"),
        ev.ReplyText("resp_1", "item_1", "Let me see."),
        ev.ToolCalled("resp_1", CALL, "item_1"),
        ev.ReplyAudio("resp_1", "item_1", b"\0\0" * 480, 24_000),
        ev.ResponseEnded("resp_1", "item_1", "completed", "Let me see.", "audio"),
        beta=beta,
    )
    places = {frame["item"]["id"]: frame["output_index"] for frame in frames if "output_item" in frame["type"]}
    assert places == {"item_1": 0, "item_2": 1}
    assert [item["type"] for item in frames[-1]["response"]["output"]] == ["message", "function_call"]


def test_calls_of_the_gateway_are_entries_that_no_client_carries_out() -> None:
    wire = protocol()
    frames = sent(
        wire,
        ev.ResponseStarted("resp_1", "item_1", "item_0", "audio"),
        ev.ToolCalled("resp_1", CALL, "item_0", by_gateway=True),
        ev.ItemAdded(OUTPUT, "item_2"),
        ev.ItemDone(OUTPUT, "item_2"),
        ev.ResponseEnded("resp_1", "item_1", "completed", "", "audio"),
    )
    assert kinds(frames)[1:-1] == ["conversation.item.added", "conversation.item.done"] * 2
    assert frames[1]["item"]["status"] == "completed"
    assert frames[-1]["response"]["output"] == []


def test_a_reply_out_of_band_adds_nothing_to_the_conversation() -> None:
    wire = protocol()
    frames = sent(
        wire,
        ev.ResponseStarted("resp_1", "item_1", "item_0", "text", out_of_band=True),
        ev.ReplyText("resp_1", "item_1", "Yes."),
        ev.ToolCalled("resp_1", CALL, None),
        ev.ResponseEnded("resp_1", "item_1", "completed", "Yes.", "text"),
    )
    assert not any(kind.startswith("conversation.") for kind in kinds(frames))
    assert frames[-1]["response"]["conversation_id"] is None
    assert len(frames[-1]["response"]["output"]) == 2


def test_events_of_the_appliance_come_only_where_they_are_asked_for() -> None:
    events = (ev.ServiceDegraded(1, ("no_partials",), "stt"), ev.EscalationRequested("llm", "worker died"))
    assert sent(protocol(), *events) == []
    degraded, escalation = (frame for event in events for frame in protocol(appliance_events=True).send(event, at=0.0))
    assert (degraded["type"], degraded["level"], degraded["measures"]) == (
        "voicectl.service_degraded",
        1,
        ["no_partials"],
    )
    assert (escalation["type"], escalation["reason"]) == ("voicectl.escalation_requested", "llm")


def test_a_resumed_session_greets_with_its_settings() -> None:
    kept = ev.SessionSettings(
        instructions="Be brief.", output_modality="text", endpointing="silence", silence_ms=450, patience=2.0,
        vad_threshold=0.7, create_response=False, interrupt_response=True, transcription_enabled=True,
        max_output_tokens=40, speed=1.2, hotwords="voicectl", tools=(PARSED,), tool_choice="required",
        forced_tool="get_weather",
    )  # fmt: skip
    (created,) = protocol(resumed=kept).opening()
    validate_frame(created)
    session = created["session"]
    assert session["id"] == "sess_1"
    assert (session["instructions"], session["output_modalities"]) == ("Be brief.", ["text"])
    assert (session["max_output_tokens"], session["audio"]["output"]["speed"]) == (40, 1.2)
    assert session["tools"][0]["name"] == "get_weather"
    assert session["tool_choice"] == {"type": "function", "name": "get_weather"}
    detection = session["audio"]["input"]["turn_detection"]
    assert (detection["type"], detection["silence_duration_ms"], detection["create_response"]) == (
        "server_vad",
        450,
        False,
    )
    assert session["audio"]["input"]["transcription"]["prompt"] == "voicectl"


def test_a_resumed_session_without_turn_detection_stays_without() -> None:
    (created,) = protocol(resumed=ev.SessionSettings(endpointing="off", transcription_enabled=False)).opening()
    assert created["session"]["audio"]["input"]["turn_detection"] is None
    assert created["session"]["audio"]["input"]["transcription"] is None
