"""Calls of functions: tell the client's, carry out the gateway's and write the reply on with what they return."""

from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent.composing import compose, new_segmenter
from voicectl.agent.reply import Reply
from voicectl.agent.state import State
from voicectl.core import events as ev

WAIT_S = 1.0
"""How long a function may run before the caller is asked to wait."""


def tell_calls(state: State, reply: Reply) -> None:
    """Make the calls that a live reply wrote entries, and have the gateway's own carried out."""
    calls, reply.calls = reply.calls, ()
    own = set() if reply.out_of_band else {tool.name for tool in state.gateway_tools}
    # The client asks for the next reply once it has done its part, so this one ends.
    goes_on = all(call.name in own for call in calls)
    for call in calls:
        by_gateway = call.name in own
        item = ev.Item(
            state.new_id("item"),
            "assistant",
            call.arguments,
            kind="function_call",
            call_id=call.call_id,
            name=call.name,
        )
        previous = None if reply.out_of_band else state.history.insert(item)
        state.emit(ev.ToolCalled(reply.response_id, item, previous, by_gateway))
        if by_gateway:
            state.order(do.CallTool(reply.response_id, call))
            if goes_on:
                reply.running.add(call.call_id)
                state.order(do.Remind(reply.response_id, WAIT_S))
    if calls:
        state.changed()


def on_tool_returned(state: State, event: told.ToolReturned) -> None:
    """A function of the gateway returned: its output is part of the conversation, whatever became of the reply."""
    call_id = event.call.call_id
    if state.history.called(call_id) and not state.history.returned(call_id):
        item = ev.Item(state.new_id("item"), "tool", event.output, kind="function_call_output", call_id=call_id)
        previous = state.history.insert(item)
        state.emit(ev.ItemAdded(item, previous))
        state.emit(ev.ItemDone(item, previous))
        state.changed()
    reply = state.known_reply(event.response_id)
    if reply is None or call_id not in reply.running:
        return
    reply.running.discard(call_id)
    if not reply.running and reply.stop_reason is None:
        reply.rounds += 1
        reply.begin_attempt(new_segmenter(state), again=False)
        compose(state, reply)
