"""Draft, speak, interrupt and end replies."""

from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent.calling import tell_calls
from voicectl.agent.composing import compose, new_reply
from voicectl.agent.recovering import escalate, recover
from voicectl.agent.reply import Reply
from voicectl.agent.state import State
from voicectl.core import events as ev


def draft(state: State, request: ev.ResponseRequested) -> None:
    """Begin a reply that nobody knows of."""
    compose(state, new_reply(state, request), speculative=True)


def begin(state: State, request: ev.ResponseRequested) -> Reply:
    """Begin a reply that is about to go live."""
    reply = new_reply(state, request)
    compose(state, reply)
    return reply


def go_live(state: State, reply: Reply) -> None:
    """Commit to the reply: from now on the client sees and hears it."""
    reply.live = True
    reply.note(committed_at=state.at)
    state.emit(
        ev.ResponseStarted(
            reply.response_id,
            reply.item_id,
            state.history.last_id(),
            reply.modality,
            reply.request.metadata,
            reply.out_of_band,
        )
    )
    if reply.finish is None:
        state.order(do.Remind(reply.response_id, state.profile.fallback.wait_s))
    _continue(state, reply)


def drop_draft(state: State) -> None:
    """Give up a reply that nobody knows of."""
    if state.reply is not None and not state.reply.live:
        state.order(do.Abandon(state.reply.response_id))
        state.reply = None


def answer(state: State, request: ev.ResponseRequested) -> None:
    """Reply at once, with nothing prepared."""
    drop_draft(state)
    go_live(state, begin(state, request))


def recite(state: State, request: ev.ResponseRequested, text: str) -> None:
    """Reply with a given text."""
    drop_draft(state)
    reply = new_reply(state, request)
    reply.recite(text)
    reply.finish = "stop"
    go_live(state, reply)


def interrupt(state: State, reply: Reply) -> None:
    """Silence a live reply because the caller has the floor now."""
    if state.turn is not None:
        state.take_floor(state.turn)
    stop(state, reply, reason="turn_detected")


def stop(state: State, reply: Reply, *, reason: str) -> None:
    """End a live reply early; what the caller heard of it stays."""
    reply.stop_reason = reason
    if reply.modality == "text":
        state.order(do.Abandon(reply.response_id))
        _end(state, reply, "cancelled", reply.text, reason=reason)
    else:
        state.order(do.StopPlayout(reply.response_id))


def on_piece(state: State, event: told.ReplyPiece) -> None:
    """Take more text."""
    reply = state.known_reply(event.response_id)
    if reply is None or event.attempt != reply.attempt or reply.finish is not None:
        return
    if event.text:
        reply.note(first_token_at=state.at)
    reply.write(event.text, event.finish, event.usage)
    reply.calls = event.tool_calls
    if reply.clauses:
        reply.note(first_clause_at=state.at)
    _continue(state, reply)


def on_failed(state: State, event: told.ReplyFailed) -> None:
    """The language model failed. A draft keeps the failure until the turn is committed."""
    reply = state.known_reply(event.response_id)
    if reply is not None and event.attempt == reply.attempt:
        reply.failure = event.message
        _continue(state, reply)


def on_reminded(state: State, event: told.Reminded) -> None:
    """Nothing was said for long: ask the caller to wait, once."""
    reply = state.known_reply(event.response_id)
    if reply is None or not reply.live or reply.waited or reply.clauses or reply.written:
        return
    if reply.modality == "audio" and not reply.out_of_band:
        reply.waited = True
        reply.recite(state.profile.fallback.wait_text)
        _continue(state, reply)


def on_clause_started(state: State, event: told.ClauseStarted) -> None:
    """The first sound of a clause exists."""
    reply = state.known_reply(event.response_id)
    if reply is not None:
        reply.note(first_audio_at=state.at)
        reply.num_begun = max(reply.num_begun, event.clause + 1)
        if reply.live:
            _tell_begun(state, reply)


def on_clause_ended(state: State, event: told.ClauseEnded) -> None:
    """A clause is fully synthesised."""
    reply = state.known_reply(event.response_id)
    if reply is not None:
        _clause_is_over(state, reply, event.clause)


def on_clause_failed(state: State, event: told.ClauseFailed) -> None:
    """The voice failed: the clause is told as text, and the reply goes on with the next."""
    reply = state.known_reply(event.response_id)
    if reply is None:
        return
    if not reply.live:
        # Once the turn is committed it is tried again.
        reply.speaking = False
        reply.voice_failed_in_draft = True
        return
    if reply.num_begun <= event.clause:
        reply.num_silent += 1
        reply.voice_failure = event.message
    _clause_is_over(state, reply, event.clause)


def _clause_is_over(state: State, reply: Reply, clause: int) -> None:
    reply.speaking = False
    reply.num_spoken = clause + 1
    reply.num_begun = max(reply.num_begun, reply.num_spoken)
    _continue(state, reply)


def on_clause_sounding(state: State, event: told.ClauseSounding) -> None:
    """The caller begins to hear a clause."""
    reply = state.known_reply(event.response_id)
    if reply is not None and reply.live:
        reply.num_sounding = max(reply.num_sounding, event.clause + 1)
        state.changed()


def on_playout_began(state: State, event: told.PlayoutBegan) -> None:
    """The caller begins to hear the reply."""
    reply = state.known_reply(event.response_id)
    if reply is not None:
        reply.audible = True
        reply.note(first_sent_at=state.at)


def on_playout_drained(state: State, event: told.PlayoutDrained) -> None:
    """The caller heard all of it."""
    reply = state.known_reply(event.response_id)
    if reply is not None and reply.live:
        _complete(state, reply)


def on_playout_stopped(state: State, event: told.PlayoutStopped) -> None:
    """The reply is silent; keep what was heard of it."""
    reply = state.known_reply(event.response_id)
    if reply is None:
        return
    state.order(do.Abandon(reply.response_id))
    if reply.stop_reason is None:
        _end(state, reply, "failed", event.heard_text, reason=reply.failure)
        _answer_queued(state)
        return
    _end(state, reply, "cancelled", event.heard_text, reason=reply.stop_reason)
    if reply.stop_reason == "turn_detected" and reply.announced and not reply.out_of_band:
        state.emit(ev.ItemTruncated(reply.item_id, event.heard_ms, event.heard_text.strip()))


def _continue(state: State, reply: Reply) -> None:
    """Speak what can be spoken, tell what is being spoken, and end what is at its end."""
    if reply.stop_reason is not None:
        return
    if reply.failure is not None and reply.live and not recover(state, reply):
        _fail(state, reply)
        return
    clause = reply.next_clause() if reply.modality == "audio" else None
    if reply.live:
        _announce(state, reply)
    if clause is not None:
        reply.speaking = True
        state.order(do.Speak(reply.response_id, clause, reply.clauses[clause]))
    if not reply.live:
        return
    _tell_begun(state, reply)
    if reply.calls and reply.finish is not None:
        tell_calls(state, reply)
    if reply.modality == "text":
        if reply.written:
            _complete(state, reply)
    elif reply.all_spoken and not reply.finishing:
        reply.finishing = True
        if reply.clauses:
            state.order(do.FinishPlayout(reply.response_id))
        else:
            _complete(state, reply)


def _announce(state: State, reply: Reply) -> None:
    """Make the message an entry once it has words; a reply that only calls functions has none."""
    has_words = bool(reply.clauses) if reply.modality == "audio" else bool(reply.text.strip())
    if reply.announced or not has_words:
        return
    reply.announced = True
    if not reply.out_of_band:
        item = ev.Item(reply.item_id, "assistant", "", reply.modality, complete=False)
        state.emit(ev.ItemAdded(item, state.history.insert(item)))
    if reply.modality == "audio":
        state.order(do.Release(reply.response_id, reply.item_id))


def _fail(state: State, reply: Reply) -> None:
    if reply.modality == "text":
        state.order(do.Abandon(reply.response_id))
        _end(state, reply, "failed", reply.text, reason=reply.failure)
        _answer_queued(state)
    else:
        state.order(do.StopPlayout(reply.response_id))


def _tell_begun(state: State, reply: Reply) -> None:
    """Send the words of every clause whose sound has begun; of a text reply all words."""
    if reply.modality == "text":
        if reply.announced and reply.num_told_chars < len(reply.text):
            state.emit(ev.ReplyText(reply.response_id, reply.item_id, reply.text[reply.num_told_chars :]))
            reply.num_told_chars = len(reply.text)
        return
    for clause in reply.clauses[reply.num_told : reply.num_begun]:
        state.emit(ev.ReplyText(reply.response_id, reply.item_id, clause))
    reply.num_told = max(reply.num_told, reply.num_begun)


def _complete(state: State, reply: Reply) -> None:
    if reply.num_silent and reply.num_silent == len(reply.clauses):
        escalate(state, "tts", reply.voice_failure or "")
        _end(state, reply, "failed", reply.text, reason=reply.voice_failure)
    elif reply.finish == "length":
        _end(state, reply, "incomplete", reply.text, reason="max_output_tokens")
    else:
        _end(state, reply, "completed", reply.text)
    _answer_queued(state)


def _end(state: State, reply: Reply, status: ev.ResponseStatus, text: str, *, reason: str | None = None) -> None:
    state.reply = None
    text = text.strip() if reply.announced else ""
    if reply.announced and not reply.out_of_band:
        state.history.rewrite(reply.item_id, text, complete=status == "completed")
    state.changed()
    state.emit(
        ev.ResponseEnded(
            reply.response_id,
            reply.item_id,
            status,
            text,
            reply.modality,
            reason=reason,
            usage=reply.usage,
            times=reply.times,
            metadata=reply.request.metadata,
        )
    )


def _answer_queued(state: State) -> None:
    request, state.queued_response = state.queued_response, None
    if request is not None:
        answer(state, request)
