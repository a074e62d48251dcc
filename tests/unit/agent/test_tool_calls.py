"""Functions in a conversation: the client's are told, the gateway's are carried out and answered."""

from tests.fakes.agent_script import PROFILE, Script
from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent.composing import MAX_ROUNDS
from voicectl.core import events as ev
from voicectl.core.measures import Measures
from voicectl.core.ports import Message

WEATHER = ev.Tool("get_weather", "Tell the weather.", '{"type":"object"}')
ORDER = ev.Tool("order_status", "Look up an order.", '{"type":"object"}')
CALL = ev.ToolCall("call_1", "get_weather", '{"city":"Paris"}')
LOOKUP = ev.ToolCall("call_2", "order_status", '{"order":"7"}')


def offering(*, gateway_tools: tuple[ev.Tool, ...] = (), **settings: object) -> Script:
    call = Script(gateway_tools)
    call.tell(ev.SessionConfigured(ev.SessionSettings(**{"tools": (WEATHER,), **settings})))  # type: ignore[arg-type]
    return call


def kinds(call: Script) -> list[type]:
    return [type(c.event) for c in call.all if isinstance(c, do.Emit)]


def test_the_model_is_told_of_the_functions_and_of_the_choice() -> None:
    call = offering(tool_choice="required", forced_tool="get_weather")
    call.say("How is the weather?")
    compose = call.ordered(do.Compose)[-1]
    assert (compose.tools, compose.tool_choice, compose.forced_tool) == ((WEATHER,), "required", "get_weather")


def test_a_forced_function_that_is_not_offered_forces_any() -> None:
    call = offering(tool_choice="required", forced_tool="fly")
    call.say("How is the weather?")
    compose = call.ordered(do.Compose)[-1]
    assert (compose.tool_choice, compose.forced_tool) == ("required", None)


def test_without_functions_nothing_is_forced() -> None:
    call = offering(tools=(), tool_choice="required")
    call.say("How is the weather?")
    assert call.ordered(do.Compose)[-1].tool_choice == "auto"


def test_a_call_ends_the_reply_at_once_and_without_a_message() -> None:
    call = offering()
    reply = call.say("How is the weather in Paris?")
    call.call(reply, CALL)
    [called] = call.events(ev.ToolCalled)
    assert (called.item.kind, called.item.name, called.item.call_id) == ("function_call", "get_weather", "call_1")
    assert called.by_gateway is False
    [ended] = call.events(ev.ResponseEnded)
    assert (ended.status, ended.text) == ("completed", "")
    assert [event.item.role for event in call.events(ev.ItemAdded)] == ["user"]
    assert not call.ordered(do.Speak)
    assert not call.ordered(do.CallTool)


def test_what_a_function_returned_is_part_of_the_next_prompt() -> None:
    call = offering()
    call.call(call.say("How is the weather in Paris?"), CALL)
    output = ev.Item("out", "tool", "sunny", kind="function_call_output", call_id="call_1")
    call.tell(ev.ItemCreateRequested(output), ev.ResponseRequested())
    assert call.ordered(do.Compose)[-1].messages[1:] == (
        Message("user", "How is the weather in Paris?"),
        Message("assistant", "", (CALL,)),
        Message("tool", "sunny", call_id="call_1"),
    )


def test_an_output_that_comes_late_stands_behind_its_call() -> None:
    call = offering()
    call.call(call.say("How is the weather in Paris?"), CALL)
    call.tell(ev.ItemCreateRequested(ev.Item("mine", "user", "Hurry up.")))
    output = ev.Item("out", "tool", "sunny", kind="function_call_output", call_id="call_1")
    call.tell(ev.ItemCreateRequested(output), ev.ResponseRequested())
    assert [message.role for message in call.ordered(do.Compose)[-1].messages[1:]] == [
        "user",
        "assistant",
        "tool",
        "user",
    ]


def test_words_before_a_call_are_spoken_and_stand_before_it() -> None:
    call = offering()
    reply = call.say("How is the weather in Paris?")
    call.call(reply, CALL, text="Let me look that up.")
    call.sound(reply)
    call.tell(told.PlayoutDrained(reply))
    added = call.events(ev.ItemAdded)[-1].item
    [called] = call.events(ev.ToolCalled)
    assert called.previous_item_id == added.item_id
    [ended] = call.events(ev.ResponseEnded)
    assert (ended.status, ended.text) == ("completed", "Let me look that up.")
    call.tell(ev.ResponseRequested())
    assert call.ordered(do.Compose)[-1].messages[2] == Message("assistant", "Let me look that up.", (CALL,))


def test_a_draft_decides_a_call_but_nothing_happens_before_the_commit() -> None:
    call = offering(gateway_tools=(ORDER,))
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.TurnTranscribed(1, "Where is my order?", 1.0))
    reply = call.ordered(do.Compose)[-1].response_id
    call.call(reply, LOOKUP)
    assert not call.ordered(do.CallTool)
    assert not call.events(ev.ToolCalled)
    call.tell(told.CallerFinished(1.0, 1.0, "complete"))
    assert [c.call for c in call.ordered(do.CallTool)] == [LOOKUP]


def test_a_draft_that_is_dropped_calls_nothing() -> None:
    call = offering(gateway_tools=(ORDER,))
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.TurnTranscribed(1, "Where is", 1.0))
    call.call(call.ordered(do.Compose)[-1].response_id, LOOKUP)
    call.tell(told.CallerResumed(1))
    assert not call.ordered(do.CallTool)
    assert not call.events(ev.ToolCalled)


def test_a_reply_cancelled_before_its_calls_come_has_none() -> None:
    call = offering()
    reply = call.say("How is the weather?")
    call.tell(ev.ResponseCancelRequested(), told.PlayoutStopped(reply, "", 0))
    call.call(reply, CALL)
    assert not call.events(ev.ToolCalled)
    assert call.events(ev.ResponseEnded)[0].status == "cancelled"


def test_a_function_of_the_gateway_is_carried_out_and_answered_in_the_same_reply() -> None:
    call = offering(gateway_tools=(ORDER,), tool_choice="required")
    reply = call.say("Where is my order?")
    assert [tool.name for tool in call.ordered(do.Compose)[-1].tools] == ["get_weather", "order_status"]
    call.call(reply, LOOKUP)
    [called] = call.events(ev.ToolCalled)
    assert called.by_gateway
    assert not call.events(ev.ResponseEnded)
    call.tell(told.ToolReturned(reply, LOOKUP, "on its way"))
    compose = call.ordered(do.Compose)[-1]
    assert (compose.response_id, compose.attempt, compose.tool_choice) == (reply, 1, "auto")
    assert compose.messages[2:] == (
        Message("assistant", "", (LOOKUP,)),
        Message("tool", "on its way", call_id="call_2"),
    )
    call.reply(reply, "It is on its way.", attempt=1)
    call.sound(reply)
    call.tell(told.PlayoutDrained(reply))
    [ended] = call.events(ev.ResponseEnded)
    assert (ended.status, ended.text) == ("completed", "It is on its way.")
    assert ended.usage == ev.TokenUsage(20, 4, 10)


def test_a_slow_function_makes_the_agent_ask_to_wait_once() -> None:
    call = offering(gateway_tools=(ORDER,))
    reply = call.say("Where is my order?")
    call.call(reply, LOOKUP)
    assert call.ordered(do.Remind)[-1].response_id == reply
    call.tell(told.Reminded(reply), told.Reminded(reply))
    assert [c.text.strip() for c in call.ordered(do.Speak)] == [PROFILE.fallback.wait_text]
    call.sound(reply)
    call.tell(told.ToolReturned(reply, LOOKUP, "on its way"))
    call.reply(reply, "It is on its way.", attempt=1)
    call.sound(reply)
    call.tell(told.PlayoutDrained(reply))
    assert call.events(ev.ResponseEnded)[0].text == f"{PROFILE.fallback.wait_text} It is on its way."


def test_who_already_spoke_does_not_ask_to_wait() -> None:
    call = offering(gateway_tools=(ORDER,))
    reply = call.say("Where is my order?")
    call.call(reply, LOOKUP, text="Let me look that up.")
    call.tell(told.Reminded(reply))
    assert [c.text for c in call.ordered(do.Speak)] == ["Let me look that up."]


def test_rounds_of_functions_are_bounded() -> None:
    call = offering(gateway_tools=(ORDER,))
    reply = call.say("Where is my order?")
    for number in range(MAX_ROUNDS):
        lookup = ev.ToolCall(f"call_{number}", "order_status", "{}")
        call.call(reply, lookup, attempt=number)
        call.tell(told.ToolReturned(reply, lookup, "unknown"))
    assert call.ordered(do.Compose)[-1].tool_choice == "none"
    assert len(call.ordered(do.CallTool)) == MAX_ROUNDS


def test_speech_during_a_function_stops_the_reply_and_keeps_what_the_function_returned() -> None:
    call = offering(gateway_tools=(ORDER,))
    reply = call.say("Where is my order?")
    call.call(reply, LOOKUP)
    call.tell(told.CallerBegan(5.0))
    call.tell(told.PlayoutStopped(reply, "", 0))
    assert not call.events(ev.ItemTruncated)
    num_composed = len(call.ordered(do.Compose))
    call.tell(told.ToolReturned(reply, LOOKUP, "on its way"))
    assert len(call.ordered(do.Compose)) == num_composed
    call.tell(told.CallerHesitated(2), told.TurnTranscribed(2, "Hello?", 1.0))
    assert [message.role for message in call.ordered(do.Compose)[-1].messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "user",
    ]


def test_a_function_of_the_client_ends_the_reply_that_also_calls_the_gateways() -> None:
    call = offering(gateway_tools=(ORDER,))
    reply = call.say("Weather and order, please.")
    call.call(reply, CALL, LOOKUP)
    assert call.events(ev.ResponseEnded)[0].status == "completed"
    call.tell(told.ToolReturned(reply, LOOKUP, "on its way"))
    assert call.events(ev.ItemAdded)[-1].item.text == "on its way"
    assert len(call.ordered(do.Compose)) == 1


def test_the_gateways_function_goes_before_a_clients_of_the_same_name() -> None:
    mine = ev.Tool("order_status", "Another one.", "{}")
    call = offering(gateway_tools=(ORDER,), tools=(mine,))
    call.say("Where is my order?")
    assert call.ordered(do.Compose)[-1].tools == (ORDER,)


def test_a_reply_out_of_band_leaves_the_conversation_as_it_is() -> None:
    call = offering(gateway_tools=(ORDER,))
    call.tell(ev.ItemCreateRequested(ev.Item("a", "user", "Hi")))
    asked = (ev.Item("x", "user", "Is that rude?"),)
    call.tell(ev.ResponseRequested(output_modality="text", out_of_band=True, input=asked, instructions=""))
    compose = call.ordered(do.Compose)[-1]
    assert compose.messages == (Message("user", "Is that rude?"),)
    assert compose.tools == (WEATHER,)
    call.reply(compose.response_id, "No.")
    [started] = call.events(ev.ResponseStarted)
    assert started.out_of_band
    assert call.events(ev.ResponseEnded)[0].text == "No."
    call.tell(ev.ResponseRequested())
    assert call.ordered(do.Compose)[-1].messages[1:] == (Message("user", "Hi"),)


def test_under_load_replies_are_shorter_but_calls_are_not() -> None:
    call = offering(max_output_tokens=60)
    call.tell(
        told.MeasuresChanged(Measures(level=1, names=("shorter_replies",), reason="llm", reply_tokens_factor=0.5))
    )
    [degraded] = call.events(ev.ServiceDegraded)
    assert (degraded.level, degraded.measures, degraded.reason) == (1, ("shorter_replies",), "llm")
    call.tell(ev.ResponseRequested())
    assert call.ordered(do.Compose)[-1].max_tokens == 30
    call.tell(ev.ResponseCancelRequested())
    call.tell(told.PlayoutStopped(call.ordered(do.Compose)[-1].response_id, "", 0))
    call.tell(ev.ResponseRequested(tool_choice="required"))
    assert call.ordered(do.Compose)[-1].max_tokens == 60


def test_under_load_partials_are_left_out_but_not_those_that_decide_about_interruption() -> None:
    call = Script()
    call.tell(told.MeasuresChanged(Measures(level=1, names=("no_partials",), partials=False)))
    call.tell(told.CallerBegan(0.0), told.CallerSpeaking(2.0))
    assert not call.ordered(do.HearPartial)
    call.tell(told.CallerWasNoise())
    reply = call.say("Tell me a story.")
    call.reply(reply, "Once upon a time there was a king.")
    call.sound(reply)
    call.tell(told.CallerBegan(5.0), told.CallerSpeaking(0.3))
    assert len(call.ordered(do.HearPartial)) == 1


def test_what_is_known_about_the_caller_joins_the_instructions() -> None:
    call = Script()
    call.tell(told.ContextKnown("The caller is Robin."))
    call.say("Who am I?")
    system = call.ordered(do.Compose)[-1].messages[0]
    assert system.content == f"{PROFILE.llm.system_prompt}\n\nThe caller is Robin."
