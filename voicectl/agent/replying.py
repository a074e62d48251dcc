"""Draft, speak, interrupt and end replies."""

from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent.reply import Reply
from voicectl.agent.segmenter import Segmenter
from voicectl.agent.state import State
from voicectl.core import events as ev


def compose(state: State, request: ev.ResponseRequested, *, speculative: bool) -> Reply:
    """Begin to write a reply to the conversation as it stands."""
    settings = state.settings
    reply = Reply(
        response_id=state.new_id("resp"),
        item_id=state.new_id("item"),
        modality=request.output_modality or settings.output_modality or "audio",
        segmenter=Segmenter(state.profile.tts.first_clause_words),
        metadata=request.metadata,
    )
    state.reply = reply
    instructions = settings.instructions if request.instructions is None else request.instructions
    state.order(
        do.Compose(
            reply.response_id,
            state.history.prompt(instructions or ""),
            request.max_output_tokens or settings.max_output_tokens or state.profile.llm.max_reply_tokens,
            speculative,
        )
    )
    return reply


def go_live(state: State, reply: Reply) -> None:
    """Commit to the reply: from now on the client sees and hears it."""
    reply.live = True
    reply.note(committed_at=state.at)
    previous = state.history.insert(ev.Item(reply.item_id, "assistant", "", reply.modality, complete=False))
    state.emit(ev.ResponseStarted(reply.response_id, reply.item_id, previous, reply.modality, reply.metadata))
    if reply.modality == "audio":
        state.order(do.Release(reply.response_id, reply.item_id))
    elif reply.text:
        state.emit(ev.ReplyText(reply.response_id, reply.item_id, reply.text))
    _continue(state, reply)


def drop_draft(state: State) -> None:
    """Give up a reply that nobody knows of."""
    if state.reply is not None and not state.reply.live:
        state.order(do.Abandon(state.reply.response_id))
        state.reply = None


def answer(state: State, request: ev.ResponseRequested) -> None:
    """Reply at once, with nothing prepared."""
    drop_draft(state)
    go_live(state, compose(state, request, speculative=False))


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
    if reply is None:
        return
    if event.text:
        reply.note(first_token_at=state.at)
    reply.write(event.text, event.finish, event.usage)
    if reply.clauses:
        reply.note(first_clause_at=state.at)
    if reply.modality == "text" and reply.live and event.text:
        state.emit(ev.ReplyText(reply.response_id, reply.item_id, event.text))
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
        reply.speaking = False
        reply.num_spoken = event.clause + 1
        reply.num_begun = max(reply.num_begun, reply.num_spoken)
        _continue(state, reply)


def on_failed(state: State, event: told.ReplyFailed) -> None:
    """A stage failed. A draft keeps the failure until the turn is committed."""
    reply = state.known_reply(event.response_id)
    if reply is not None and reply.failure is None:
        reply.failure = event.message
        _continue(state, reply)


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
    if reply.failure is not None:
        _end(state, reply, "failed", event.heard_text, reason=reply.failure)
        _answer_queued(state)
        return
    _end(state, reply, "cancelled", event.heard_text, reason=reply.stop_reason)
    if reply.stop_reason == "turn_detected":
        state.emit(ev.ItemTruncated(reply.item_id, event.heard_ms, event.heard_text.strip()))


def _continue(state: State, reply: Reply) -> None:
    """Speak what can be spoken, tell what is being spoken, and end what is at its end."""
    if reply.failure is not None:
        if reply.live:
            _fail(state, reply)
        return
    if reply.modality == "text":
        if reply.live and reply.finish is not None:
            _complete(state, reply)
        return
    clause = reply.next_clause()
    if clause is not None:
        reply.speaking = True
        state.order(do.Speak(reply.response_id, clause, reply.clauses[clause]))
    if not reply.live:
        return
    _tell_begun(state, reply)
    if reply.all_spoken and not reply.finishing:
        reply.finishing = True
        if reply.clauses:
            state.order(do.FinishPlayout(reply.response_id))
        else:
            _complete(state, reply)


def _fail(state: State, reply: Reply) -> None:
    if reply.modality == "text":
        state.order(do.Abandon(reply.response_id))
        _end(state, reply, "failed", reply.text, reason=reply.failure)
        _answer_queued(state)
    else:
        state.order(do.StopPlayout(reply.response_id))


def _tell_begun(state: State, reply: Reply) -> None:
    """Send the words of every clause whose sound has begun."""
    for clause in reply.clauses[reply.num_told : reply.num_begun]:
        state.emit(ev.ReplyText(reply.response_id, reply.item_id, clause))
    reply.num_told = max(reply.num_told, reply.num_begun)


def _complete(state: State, reply: Reply) -> None:
    if reply.finish == "length":
        _end(state, reply, "incomplete", reply.text, reason="max_output_tokens")
    else:
        _end(state, reply, "completed", reply.text)
    _answer_queued(state)


def _end(state: State, reply: Reply, status: ev.ResponseStatus, text: str, *, reason: str | None = None) -> None:
    state.reply = None
    text = text.strip()
    state.history.rewrite(reply.item_id, text, complete=status == "completed")
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
            metadata=reply.metadata,
        )
    )


def _answer_queued(state: State) -> None:
    request, state.queued_response = state.queued_response, None
    if request is not None:
        answer(state, request)
