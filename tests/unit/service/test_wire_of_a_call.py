"""Whatever a client and the planes do, in whatever order: every frame is valid and in its place."""

from collections.abc import Callable
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.wired_call import CLIENT_TOOL, WiredCall
from voicectl.agent import inputs as told
from voicectl.core import events as ev
from voicectl.core.measures import Measures


def heard(call: WiredCall) -> None:
    if call.hearing is not None:
        call.tell(told.TurnTranscribed(call.hearing.hearing_id, "Where is my order?", 1.0))


def unheard(call: WiredCall) -> None:
    if call.hearing is not None:
        call.tell(told.TurnNotTranscribed(call.hearing.hearing_id, "worker stt died"))


def turn(call: WiredCall) -> None:
    call.tell(told.CallerBegan(call.at))
    call.tell(told.CallerHesitated(1))
    heard(call)
    call.tell(told.CallerFinished(call.at, call.at, "complete"))


def piece(text: str, finish: Any = None, tool: str | None = None) -> Callable[[WiredCall], None]:
    def act(call: WiredCall) -> None:
        if call.composing is None:
            return
        calls = () if tool is None else (ev.ToolCall(f"call_{len(call.frames)}", tool, "{}"),)
        response_id, attempt = call.composing.response_id, call.composing.attempt
        call.tell(told.ReplyPiece(response_id, text, finish, ev.TokenUsage(5, 1, 2), calls, attempt))

    return act


def failed(call: WiredCall) -> None:
    if call.composing is not None:
        call.tell(told.ReplyFailed(call.composing.response_id, "worker llm died", call.composing.attempt))


def spoken(call: WiredCall) -> None:
    speak, call.speaking = call.speaking, None
    if speak is not None:
        call.tell(told.ClauseStarted(speak.response_id, speak.clause))
        call.sound()
        call.tell(told.ClauseSounding(speak.response_id, speak.clause))
        call.tell(told.ClauseEnded(speak.response_id, speak.clause))


def voice_failed(call: WiredCall) -> None:
    speak, call.speaking = call.speaking, None
    if speak is not None:
        call.tell(told.ClauseFailed(speak.response_id, speak.clause, "worker tts died"))


def drained(call: WiredCall) -> None:
    if call.finishing is not None:
        call.tell(told.PlayoutDrained(call.finishing.response_id))


def returned(call: WiredCall) -> None:
    if call.tools:
        tool = call.tools.pop(0)
        call.tell(told.ToolReturned(tool.response_id, tool.call, "on its way"))


def reminded(call: WiredCall) -> None:
    if call.composing is not None:
        call.tell(told.Reminded(call.composing.response_id))


def client(kind: str, **fields: Any) -> Callable[[WiredCall], None]:
    return lambda call: call.client(kind, **fields)


def with_item(kind: str, index: int, **fields: Any) -> Callable[[WiredCall], None]:
    def act(call: WiredCall) -> None:
        call.client(kind, item_id=call.items[index] if call.items else "nowhere", **fields)

    return act


def create(call: WiredCall) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    call.client("conversation.item.create", item=item)


def create_first(call: WiredCall) -> None:
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    call.client("conversation.item.create", item=item, previous_item_id="root")


def output(call: WiredCall) -> None:
    calls = [frame["call_id"] for frame in call.frames if frame["type"] == "response.function_call_arguments.done"]
    item = {"type": "function_call_output", "call_id": calls[-1] if calls else "unknown", "output": "sunny"}
    call.client("conversation.item.create", item=item)


ACTIONS: Final[list[Callable[[WiredCall], None]]] = [
    turn,
    heard,
    unheard,
    lambda call: call.tell(told.CallerBegan(call.at)),
    lambda call: call.tell(told.CallerSpeaking(1.5)),
    lambda call: call.tell(told.CallerHesitated(1)),
    lambda call: call.tell(told.CallerResumed(1)),
    lambda call: call.tell(told.CallerWasNoise()),
    lambda call: call.tell(told.CallerFinished(call.at, call.at, "timeout")),
    lambda call: call.tell(told.MeasuresChanged(Measures(level=1, names=("no_partials",), partials=False))),
    piece("Once upon a time, there was a king. "),
    piece("The end.", "stop"),
    piece("", "stop"),
    piece("And so", "length"),
    piece("", "tool_calls", "get_weather"),
    piece("Let me look that up.", "tool_calls", "get_weather"),
    piece("", "tool_calls", "order_status"),
    failed,
    spoken,
    spoken,
    voice_failed,
    WiredCall.sound,
    drained,
    returned,
    reminded,
    create,
    create_first,
    output,
    with_item("conversation.item.delete", -1),
    with_item("conversation.item.retrieve", 0),
    with_item("conversation.item.truncate", -1, content_index=0, audio_end_ms=200),
    client("response.create"),
    client("response.create", response={"output_modalities": ["text"]}),
    client("response.create", response={"conversation": "none", "input": [], "metadata": {"k": "v"}}),
    client("response.cancel"),
    client("input_audio_buffer.commit"),
    client("input_audio_buffer.clear"),
    client("session.update", session={"tools": [CLIENT_TOOL], "tool_choice": "required"}),
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), min_size=5, max_size=40), st.booleans())
def test_any_order_of_events_yields_only_valid_frames_in_their_places(
    actions: list[Callable[[WiredCall], None]], beta: bool
) -> None:
    call = WiredCall(beta=beta)
    for act in actions:
        act(call)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), min_size=5, max_size=40))
def test_every_reply_that_began_ends_once_the_stages_answer(actions: list[Callable[[WiredCall], None]]) -> None:
    call = WiredCall()
    for act in actions:
        act(call)
    for _ in range(30):
        for act in (heard, returned, piece("The end.", "stop"), spoken, drained):
            act(call)
    assert call.open_response is None


def test_a_call_with_a_function_of_the_client_from_end_to_end() -> None:
    call = WiredCall()
    call.client("session.update", session={"type": "realtime", "tools": [CLIENT_TOOL], "tool_choice": "required"})
    for act in (turn, piece("", "tool_calls", "get_weather"), output, client("response.create")):
        act(call)
    for act in (piece("It is sunny.", "stop"), spoken, drained):
        act(call)
    done = [frame["response"] for frame in call.frames if frame["type"] == "response.done"]
    assert [[item["type"] for item in response["output"]] for response in done] == [["function_call"], ["message"]]
    assert done[1]["output"][0]["content"][0]["transcript"] == "It is sunny."
