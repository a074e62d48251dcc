"""A conversation goes on in another process, and the caller hears at most one sentence twice."""

from dataclasses import replace

from tests.fakes.agent_script import Script
from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent.resuming import UNKNOWN_OUTCOME
from voicectl.core import events as ev
from voicectl.core.checkpoint import ConversationState
from voicectl.core.ports import Message

ORDER = ev.Tool("order_status", "Look up an order.", '{"type":"object"}')
STORY = ("Once upon a time, ", "there was a king. ", "He had a castle. ", "The end.")


def state_of(call: Script) -> ConversationState:
    return call.session.state("sess_1", "key_1", 12.5)


def resumed(kept: ConversationState, gateway_tools: tuple[ev.Tool, ...] = ()) -> Script:
    call = Script(gateway_tools, prefix="again")
    call.all += call.session.restore(kept, 0.0)
    return call


def broken_story(num_sounding: int) -> ConversationState:
    call = Script()
    reply = call.say("Tell me a story.")
    call.reply(reply, *STORY)
    for clause in range(num_sounding):
        call.tell(
            told.ClauseStarted(reply, clause), told.ClauseSounding(reply, clause), told.ClauseEnded(reply, clause)
        )
    return state_of(call)


def spoken(call: Script, text: str) -> str:
    """Let the model write, and return what is said of it."""
    reply = call.ordered(do.Compose)[-1].response_id
    call.reply(reply, text)
    call.sound(reply)
    call.tell(told.PlayoutDrained(reply))
    ended: ev.ResponseEnded = call.events(ev.ResponseEnded)[-1]
    return ended.text


def test_history_and_settings_are_back() -> None:
    call = Script()
    call.tell(ev.SessionConfigured(ev.SessionSettings(instructions="Be brief.", speed=1.2)))
    reply = call.say("Hello.")
    call.reply(reply, "Hi there, friend.")
    call.sound(reply)
    call.tell(told.PlayoutDrained(reply))
    kept = state_of(call)
    assert (kept.session_id, kept.owner, kept.saved_at) == ("sess_1", "key_1", 12.5)
    again = resumed(kept)
    assert not again.all
    assert (again.session.settings.instructions, again.session.settings.speed) == ("Be brief.", 1.2)
    again.say("And now?")
    assert again.ordered(do.Compose)[-1].messages == (
        Message("system", "Be brief."),
        Message("user", "Hello."),
        Message("assistant", "Hi there, friend."),
        Message("user", "And now?"),
    )


def test_every_change_that_counts_is_kept() -> None:
    call = Script()
    call.tell(ev.SessionConfigured(ev.SessionSettings(instructions="Be brief.")))
    assert do.Checkpoint() in call.all
    reply = call.say("Hello.")
    for event in (told.ReplyPiece(reply, "Hi there, friend.", "stop"), told.ClauseStarted(reply, 0)):
        assert do.Checkpoint() not in call.tell(event)
    assert do.Checkpoint() in call.tell(told.ClauseSounding(reply, 0))
    call.tell(told.ClauseEnded(reply, 0))
    assert do.Checkpoint() in call.tell(told.PlayoutDrained(reply))
    assert do.Checkpoint() in call.tell(ev.ItemCreateRequested(ev.Item("a", "user", "Hi")))
    assert do.Checkpoint() in call.tell(ev.ItemDeleteRequested("a"))


def test_a_turn_is_kept_before_it_is_answered() -> None:
    call = Script()
    call.say("Hello.")
    assert [item.text for item in state_of(call).items] == ["Hello."]


def test_a_turn_without_an_answer_is_answered_unasked() -> None:
    call = Script()
    call.say("Hello.")
    again = resumed(state_of(call))
    assert again.events(ev.ResponseStarted)
    assert again.ordered(do.Compose)[-1].messages[-1] == Message("user", "Hello.")


def test_a_reply_that_broke_off_goes_on_with_the_clause_that_was_being_said() -> None:
    kept = broken_story(2)
    assert (kept.items[-1].text, kept.items[-1].complete) == ("Once upon a time, there was a king.", False)
    again = resumed(kept)
    assert [message.content for message in again.ordered(do.Compose)[-1].messages[1:]] == ["Tell me a story."]
    assert spoken(again, "".join(STORY)) == "there was a king. He had a castle. The end."
    again.say("Nice.")
    assert again.ordered(do.Compose)[-1].messages[-2].content == (
        "Once upon a time, there was a king. He had a castle. The end."
    )


def test_a_reply_of_which_little_was_heard_is_said_again() -> None:
    assert spoken(resumed(broken_story(1)), "".join(STORY)) == "".join(STORY)
    assert spoken(resumed(broken_story(0)), "".join(STORY)) == "".join(STORY)


def test_a_reply_that_is_written_otherwise_is_said_from_its_start() -> None:
    assert spoken(resumed(broken_story(2)), "In a far land lived a queen.") == "In a far land lived a queen."


def test_a_reply_that_the_caller_stopped_stays_stopped() -> None:
    call = Script()
    reply = call.say("Tell me a story.")
    call.reply(reply, *STORY)
    call.sound(reply)
    call.tell(told.CallerBegan(5.0), told.CallerSpeaking(1.0), told.PlayoutStopped(reply, "Once upon", 600))
    assert not resumed(state_of(call)).all


def test_who_answers_by_request_only_is_not_answered_unasked() -> None:
    call = Script()
    call.say("Hello.")
    kept = state_of(call)
    assert not resumed(replace(kept, settings=replace(kept.settings, create_response=False))).all


def test_a_function_that_was_running_has_an_unknown_outcome() -> None:
    call = Script((ORDER,))
    lookup = ev.ToolCall("call_1", "order_status", "{}")
    call.call(call.say("Where is my order?"), lookup)
    again = resumed(state_of(call), (ORDER,))
    assert not again.ordered(do.CallTool)
    assert again.ordered(do.Compose)[-1].messages[-1] == Message("tool", UNKNOWN_OUTCOME, call_id="call_1")


def test_a_function_of_the_client_waits_for_the_client() -> None:
    call = Script()
    call.tell(ev.SessionConfigured(ev.SessionSettings(tools=(ORDER,))))
    call.call(call.say("Where is my order?"), ev.ToolCall("call_1", "order_status", "{}"))
    again = resumed(state_of(call))
    assert not again.all
    output = ev.Item("out", "tool", "on its way", kind="function_call_output", call_id="call_1")
    again.tell(ev.ItemCreateRequested(output), ev.ResponseRequested())
    assert again.ordered(do.Compose)[-1].messages[-1].content == "on its way"
