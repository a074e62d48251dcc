"""Do what the client asks for: settings, replies, and entries of the conversation."""

from dataclasses import fields, replace

from voicectl.agent import commands as do
from voicectl.agent import hearing, replying
from voicectl.agent import inputs as told
from voicectl.agent.history import UnknownItem
from voicectl.agent.state import State
from voicectl.core import events as ev


def on_configured(state: State, action: ev.SessionConfigured) -> None:
    """Change what is given, keep the rest."""
    changes = {
        field.name: value
        for field in fields(action.settings)
        if (value := getattr(action.settings, field.name)) is not None
    }
    state.settings = replace(state.settings, **changes)
    state.emit(ev.SettingsChanged(state.settings, action.event_id))
    state.changed()


def on_measures(state: State, event: told.MeasuresChanged) -> None:
    """Give less, or all again."""
    before, state.measures = state.measures, event.measures
    if (before.level, before.names) != (event.measures.level, event.measures.names):
        state.emit(ev.ServiceDegraded(event.measures.level, event.measures.names, event.measures.reason))


def on_context(state: State, event: told.ContextKnown) -> None:
    """Tell the language model what is known about the caller, from the next reply on."""
    state.context = event.text.strip()


def on_response_requested(state: State, action: ev.ResponseRequested) -> None:
    """Reply now, or as soon as the turn that just ended is transcribed."""
    reply = state.live_reply()
    if reply is not None:
        state.reject(
            "conversation_already_has_active_response",
            f"response {reply.response_id} is in progress: wait for response.done, or cancel it",
            action.event_id,
        )
    elif state.settling is not None:
        state.queued_response = action
    else:
        replying.answer(state, action)


def on_response_cancel(state: State, action: ev.ResponseCancelRequested) -> None:
    """Stop the live reply."""
    reply = state.live_reply()
    if reply is None or action.response_id not in (None, reply.response_id):
        state.reject("response_cancel_not_active", "Cancellation failed: no active response found", action.event_id)
    else:
        replying.stop(state, reply, reason="client_cancelled")


def on_item_create(state: State, action: ev.ItemCreateRequested) -> None:
    """Add an entry."""
    try:
        previous = state.history.insert(action.item, action.previous_item_id)
    except UnknownItem as unknown:
        state.reject("item_not_found", f"no item {unknown} to insert behind", action.event_id, "previous_item_id")
    except ValueError as taken:
        state.reject("item_id_taken", str(taken), action.event_id, "item.id")
    else:
        state.emit(ev.ItemAdded(action.item, previous, action.event_id))
        state.emit(ev.ItemDone(action.item, previous))
        state.changed()


def on_item_delete(state: State, action: ev.ItemDeleteRequested) -> None:
    """Remove an entry that is not being spoken."""
    reply = state.live_reply()
    if reply is not None and reply.item_id == action.item_id:
        message = f"item {action.item_id} is being spoken: cancel the response first"
        state.reject("item_in_progress", message, action.event_id, "item_id")
        return
    try:
        state.history.remove(action.item_id)
    except UnknownItem:
        state.reject("item_not_found", f"no item {action.item_id}", action.event_id, "item_id")
    else:
        state.emit(ev.ItemDeleted(action.item_id, action.event_id))
        state.changed()


def on_item_retrieve(state: State, action: ev.ItemRetrieveRequested) -> None:
    """Show an entry."""
    try:
        item = state.history.get(action.item_id)
    except UnknownItem:
        message = f"no item {action.item_id}"
        state.reject("item_retrieve_invalid_item_id", message, action.event_id, "item_id")
    else:
        state.emit(ev.ItemRetrieved(item, action.event_id))


def on_heard_up_to(state: State, event: told.ItemHeardUpTo) -> None:
    """Cut an entry to what the client says it played. Never an error: some clients end on one."""
    text = event.text
    reply = state.live_reply()
    if reply is not None and reply.item_id == event.item_id:
        # The client stopped playing before we knew: silence the reply, of which the heard words stay.
        replying.stop(state, reply, reason="client_cancelled")
    else:
        try:
            item = state.history.get(event.item_id)
        except UnknownItem:
            text = ""
        else:
            if item.role == "assistant" and item.kind == "message":
                text = min(text, item.text, key=len)
                state.history.rewrite(event.item_id, text, complete=False)
                state.changed()
    state.emit(ev.ItemTruncated(event.item_id, event.audio_end_ms, text, event.event_id))


def on_clear(state: State, action: ev.AudioClearRequested) -> None:
    """Drop the audio that is no turn yet."""
    hearing.clear(state)
    state.emit(ev.AudioCleared(action.event_id))


def on_left(state: State, _: ev.CallerLeft) -> None:
    """The caller is gone: stop all work."""
    if state.reply is not None:
        state.order(do.Abandon(state.reply.response_id))
    for turn in (state.turn, state.settling):
        if turn is not None and turn.hearing is not None:
            state.order(do.StopHearing(turn.hearing.hearing_id))
    state.turn = state.settling = state.reply = None
