"""Follow the caller: begin turns, tell partials, weigh interruptions, settle turns that are over."""

from voicectl.agent import commands as do
from voicectl.agent import holding, recovering, replying
from voicectl.agent import inputs as told
from voicectl.agent.interruption import Verdict, is_backchannel, verdict_at_pause, verdict_while_speaking
from voicectl.agent.state import State
from voicectl.agent.turn import CallerTurn, Hearing
from voicectl.core import events as ev

_OVERLAP_PARTIAL_S = 0.15
"""Shortest time between partials over the agent's voice, where words decide about interruption."""

_UNREAD_S = 0.25
"""Speech at the end of a turn that a partial may have missed and still tell what the turn was."""

_FIRST_WORDS_S = 0.1
"""Speech over the agent's voice in which there can be words (tiny.en: in 2 of 20 clips at 64 ms, in 7 at 100 ms)."""


def on_began(state: State, event: told.CallerBegan) -> None:
    """Speech began. Before the agent is audible it takes the floor at once; over its voice, words decide."""
    reply = state.live_reply()
    over_agent = reply is not None and reply.modality == "audio"
    turn = state.turn = CallerTurn(state.new_id("item"), event.position_s, over_agent=over_agent)
    if reply is None:
        state.announce(turn)
    elif state.settings.interrupt_response and not (over_agent and reply.audible):
        replying.interrupt(state, reply)
    else:
        holding.take_over(state, turn)


def on_speaking(state: State, event: told.CallerSpeaking) -> None:
    """Speech goes on: weigh how long it lasts, and hear its words when they are due."""
    turn = state.turn
    if turn is None:
        return
    turn.speech_s = event.speech_s
    turn.spoke_at = state.at
    if turn.over_agent:
        _weigh_overlap(state, turn)
    if turn.over_agent:
        holding.consider(state, turn)
    if _partial_is_due(state, turn):
        turn.partial_running = True
        turn.partial_s = turn.speech_s
        turn.last_partial_at = state.at
        state.order(do.HearPartial(turn.item_id, decides=turn.over_agent))


def _partial_is_due(state: State, turn: CallerTurn) -> bool:
    if turn.partial_running or turn.hearing is not None:
        return False
    if turn.over_agent:
        interval_s = _OVERLAP_PARTIAL_S
        ready = bool(state.settings.interrupt_response) and turn.speech_s >= _FIRST_WORDS_S
    else:
        interval_s = state.profile.stt.partial_interval_s
        ready = bool(state.settings.transcription_enabled) and turn.speech_s >= interval_s
        # Words over the agent's voice decide about interruption, so only these are left out under load.
        ready = ready and state.measures.partials
    interval_s *= state.measures.partial_interval_factor
    return ready and (turn.last_partial_at is None or state.at - turn.last_partial_at >= interval_s)


def on_partial(state: State, event: told.PartialTranscribed) -> None:
    """Words of speech that goes on."""
    turn = state.turn
    if turn is None or turn.item_id != event.item_id:
        return
    turn.partial_running = False
    if event.text is None:
        return
    if turn.over_agent:
        if event.text:
            turn.words, turn.words_s = event.text, turn.partial_s
        _weigh_overlap(state, turn)
        _go_on_after_small_words(state, turn)
    if turn.announced and (settled := turn.partials.push(event.text)):
        state.emit(ev.TranscriptDelta(turn.item_id, settled))


def _weigh_overlap(state: State, turn: CallerTurn) -> None:
    reply = state.live_reply()
    if reply is None:
        state.take_floor(turn)
    elif state.settings.interrupt_response:
        verdict = verdict_while_speaking(turn.words, turn.speech_s, state.profile.barge_in, asked=reply.asked)
        if verdict is Verdict.INTERRUPT:
            replying.interrupt(state, reply)


def _go_on_after_small_words(state: State, turn: CallerTurn) -> None:
    """Let the agent go on in a pause, if the partials say that nothing but a backchannel came before it."""
    reply = state.live_reply()
    if reply is None or turn.hearing is None or turn.speech_s - turn.words_s > _UNREAD_S:
        return
    if is_backchannel(turn.words, state.profile.barge_in, asked=reply.asked):
        holding.go_on(state, turn.item_id)


def on_hesitated(state: State, event: told.CallerHesitated) -> None:
    """A pause: hear the turn as it stands, so that a reply can be drafted."""
    if state.turn is not None:
        _hear(state, state.turn, event.pause_id, final=False)
        _go_on_after_small_words(state, state.turn)


def _hear(state: State, turn: CallerTurn, pause_id: int | None, *, final: bool) -> None:
    state.num_hearings += 1
    turn.hearing = Hearing(state.num_hearings, pause_id, state.at)
    state.order(do.Hear(turn.hearing.hearing_id, final))


def on_resumed(state: State, event: told.CallerResumed) -> None:
    """The pause was none: drop all that was prepared in it."""
    turn = state.turn
    if turn is not None and turn.hearing is not None and turn.hearing.pause_id == event.pause_id:
        _stop_hearing(state, turn)
        replying.drop_draft(state)


def _stop_hearing(state: State, turn: CallerTurn) -> None:
    if turn.hearing is not None and turn.hearing.text is None:
        state.order(do.StopHearing(turn.hearing.hearing_id))
    turn.hearing = None


def on_noise(state: State, _: told.CallerWasNoise) -> None:
    """It was no speech after all."""
    if state.turn is not None:
        _discard(state, state.turn)


def on_transcribed(state: State, event: told.TurnTranscribed) -> None:
    """The words at a pause: draft a reply to them, or settle the turn if it is over."""
    turn = _turn_of(state, event.hearing_id)
    if turn is None or turn.hearing is None:
        return
    turn.hearing.text = event.text
    turn.hearing.duration_s = event.duration_s
    turn.hearing.confidence = event.confidence
    turn.hearing.transcribed_at = state.at
    if turn is state.settling:
        _settle(state, turn, turn.hearing)
    elif _has_floor(state, turn, event.text) and event.text and _may_draft(state):
        _draft(state, turn, event.text)


def _may_draft(state: State) -> bool:
    return bool(state.settings.create_response) and state.reply is None and state.settling is None


def _draft(state: State, turn: CallerTurn, text: str) -> None:
    """Write a reply as if the turn were over, without anybody knowing."""
    state.history.insert(ev.Item(turn.item_id, "user", text, "audio"))
    replying.draft(state, ev.ResponseRequested())
    state.history.remove(turn.item_id)


def _has_floor(state: State, turn: CallerTurn, text: str) -> bool:
    """Decide at a pause whether speech that began over the agent's voice is a turn."""
    reply = state.live_reply()
    if not turn.over_agent:
        return True
    if reply is not None:
        if verdict_at_pause(text, state.profile.barge_in, asked=reply.asked) is Verdict.IGNORE:
            holding.go_on(state, turn.item_id)
            return False
        if state.settings.interrupt_response:
            replying.interrupt(state, reply)
            return True
    holding.go_on(state, turn.item_id)
    state.take_floor(turn)
    return True


def on_not_transcribed(state: State, event: told.TurnNotTranscribed) -> None:
    """Speech to text failed: a turn that is over becomes an entry without words."""
    turn = _turn_of(state, event.hearing_id)
    if turn is None:
        return
    turn.hearing = None
    # Nobody knows what was said: as if nothing was.
    holding.go_on(state, turn.item_id)
    if turn is state.settling:
        item, previous = _add_to_history(state, turn, "")
        state.emit(ev.TranscriptFailed(item.item_id, event.message))
        state.emit(ev.ItemDone(item, previous))
        state.close_turn(turn)
        state.changed()
        _answer_unheard(state, turn, event.message)


def _answer_unheard(state: State, turn: CallerTurn, message: str) -> None:
    """Say that the turn was not understood, where an answer is expected: a caller must not wait in vain."""
    request = _take_request(state, turn)
    if request is None or state.turn is not None or state.live_reply() is not None:
        return
    text = recovering.text_for_unheard(state, message)
    replying.recite(state, request, text)


def on_finished(state: State, event: told.CallerFinished) -> None:
    """The turn is over. Its transcript, if not there yet, settles it."""
    turn = state.turn
    if turn is None:
        if event.reason != "client":
            return
        turn = CallerTurn(state.new_id("item"), event.speech_end_s, over_agent=False)
    turn.finished_at = state.at
    turn.end_reason = event.reason
    turn.speech_end_s = event.speech_end_s
    turn.last_voiced_at = event.heard_at
    if turn.hearing is None:
        _hear(state, turn, None, final=True)
    state.turn, state.settling = None, turn
    state.order(do.EndTurn())
    if turn.hearing is not None and turn.hearing.text is not None:
        _settle(state, turn, turn.hearing)


def _settle(state: State, turn: CallerTurn, hearing: Hearing) -> None:
    """Make a finished turn an entry, and answer it unless the caller already speaks again."""
    text = hearing.text or ""
    # A client that commits waits for its entry, whatever is in it.
    if turn.end_reason != "client" and not (text and _has_floor(state, turn, text)):
        _discard(state, turn)
        return
    item, previous = _add_to_history(state, turn, text)
    if state.settings.transcription_enabled:
        state.emit(ev.TranscriptFinal(turn.item_id, text, hearing.duration_s, hearing.confidence))
    state.emit(ev.ItemDone(item, previous))
    holding.go_on(state, turn.item_id)
    state.close_turn(turn)
    state.num_unheard = 0
    state.changed()
    _answer(state, turn, hearing)


def _take_request(state: State, turn: CallerTurn) -> ev.ResponseRequested | None:
    """Return the request that a settled turn is answered by: the client's own, or what turn detection makes."""
    request, state.queued_response = state.queued_response, None
    if request is None and state.settings.create_response and turn.end_reason != "client":
        request = ev.ResponseRequested()
    return request


def _answer(state: State, turn: CallerTurn, hearing: Hearing) -> None:
    request = _take_request(state, turn)
    if request is None or state.turn is not None:
        replying.drop_draft(state)
        return
    if state.live_reply() is not None:
        state.queued_response = request
        return
    reply = state.reply
    if reply is None:
        reply = replying.begin(state, request)
    reply.note(
        last_voiced_position_s=turn.speech_end_s,
        last_voiced_at=turn.last_voiced_at,
        hesitated_at=hearing.started_at,
        transcribed_at=hearing.transcribed_at,
        committed_at=turn.finished_at,
    )
    replying.go_live(state, reply)


def _add_to_history(state: State, turn: CallerTurn, text: str) -> tuple[ev.Item, str | None]:
    state.announce(turn)
    state.emit(ev.SpeechStopped(turn.item_id, turn.speech_end_s or turn.began_position_s))
    item = ev.Item(turn.item_id, "user", text, "audio")
    previous = state.history.insert(item)
    state.emit(ev.AudioCommitted(turn.item_id, previous))
    state.emit(ev.ItemAdded(item, previous))
    return item, previous


def _discard(state: State, turn: CallerTurn) -> None:
    if turn.announced:
        state.emit(ev.SpeechDiscarded(turn.item_id))
    replying.drop_draft(state)
    holding.go_on(state, turn.item_id)
    state.close_turn(turn)
    if state.queued_response is not None and state.live_reply() is None:
        request, state.queued_response = state.queued_response, None
        replying.answer(state, request)


def clear(state: State) -> None:
    """Drop the turn being spoken, unsaid."""
    if state.turn is not None:
        _stop_hearing(state, state.turn)
        replying.drop_draft(state)
        holding.go_on(state, state.turn.item_id)
        state.close_turn(state.turn)


def _turn_of(state: State, hearing_id: int) -> CallerTurn | None:
    """Return the turn a transcription belongs to; None if it is stale."""
    for turn in (state.settling, state.turn):
        if turn is not None and turn.hearing is not None and turn.hearing.hearing_id == hearing_id:
            return turn
    return None
