"""Keep a conversation for the time after a failure, and go on with it so that the caller notices little."""

from dataclasses import fields, replace

from voicectl.agent import replying
from voicectl.agent.composing import compose, new_reply, new_segmenter
from voicectl.agent.continuation import Continuation
from voicectl.agent.history import History
from voicectl.agent.reply import Reply
from voicectl.agent.state import State
from voicectl.core import events as ev
from voicectl.core.checkpoint import ConversationState

UNKNOWN_OUTCOME = "The connection was lost while this ran. Whether it was done is not known."
"""What the language model is told of a function that was running when the gateway ended."""


def conversation_state(state: State, session_id: str, owner: str | None, saved_at: float) -> ConversationState:
    """Return what is to be kept: entries and settings. A reply in progress counts as far as it was heard.

    An interrupted reply is kept as a complete one: nobody waits for the rest of it.
    """
    reply = state.live_reply()
    items = tuple(_kept(item, reply) for item in state.history.items)
    return ConversationState(session_id, owner, items, state.settings, saved_at)


def _kept(item: ev.Item, reply: Reply | None) -> ev.Item:
    if reply is None or item.item_id != reply.item_id:
        return replace(item, complete=True)
    text = reply.sounding_text if reply.modality == "audio" else reply.text
    return replace(item, text=text.strip(), complete=False)


def restore(state: State, kept: ConversationState) -> None:
    """Take over a conversation and answer what was not answered, or not to its end."""
    given = {
        field.name: value
        for field in fields(kept.settings)
        if (value := getattr(kept.settings, field.name)) is not None
    }
    state.settings = replace(state.settings, **given)
    state.history = History(kept.items)
    _settle_running_calls(state)
    last = state.history.items[-1] if state.history.items else None
    if last is None or not state.settings.create_response:
        return
    if last.kind == "function_call_output" or (last.kind == "message" and last.role == "user" and last.text):
        replying.answer(state, ev.ResponseRequested())
    elif last.kind == "message" and last.role == "assistant" and not last.complete:
        _answer_again(state, last)


def _settle_running_calls(state: State) -> None:
    """Give calls that the gateway was carrying out an outcome; the client answers its own."""
    own = {tool.name for tool in state.gateway_tools}
    for item in state.history.items:
        if item.kind == "function_call" and item.name in own and not state.history.returned(item.call_id or ""):
            output = ev.Item(
                state.new_id("item"), "tool", UNKNOWN_OUTCOME, kind="function_call_output", call_id=item.call_id
            )
            state.history.insert(output, after=item.item_id)


def _answer_again(state: State, broken: ev.Item) -> None:
    """Write a reply that broke off again, and say it from the clause on that was being said."""
    said = _settled_clauses(state, broken.text)
    if said:
        state.history.rewrite(broken.item_id, said, complete=False)
    else:
        state.history.remove(broken.item_id)
    request = ev.ResponseRequested(output_modality=broken.modality)
    reply = new_reply(state, request)
    reply.continuation = Continuation(said, "restart") if said else None
    compose(state, reply, without=broken.item_id)
    replying.go_live(state, reply)


def _settled_clauses(state: State, text: str) -> str:
    """Return the clauses of what was heard that were certainly heard to their ends: all but the last."""
    segmenter = new_segmenter(state)
    clauses = segmenter.push(text)
    clauses += segmenter.flush()
    return "".join(clauses[:-1]).strip()
