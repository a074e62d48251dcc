"""Hold the agent's voice while a caller speaks over it, until it is known whether the caller wants the floor."""

from typing import Final

from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent import replying
from voicectl.agent.interruption import holds
from voicectl.agent.reply import Reply
from voicectl.agent.state import State
from voicectl.agent.turn import CallerTurn

_BEGINNING: Final = "beginning"
"""Holds a reply while there is sound that may become a turn."""

_STILL_SPEAKING_S: Final = 0.3
"""A caller of whom speech came in so lately speaks on; else the pause, or the network, has the word."""


def on_stirred(state: State, event: told.CallerStirred) -> None:
    """There is sound that may become speech, or it became none."""
    reply = _holdable(state)
    if event.speech_s > 0:
        if reply is not None and reply.held_by is None and holds(event.speech_s, state.profile.barge_in):
            _hold(state, reply, _BEGINNING)
    else:
        go_on(state, _BEGINNING)


def take_over(state: State, turn: CallerTurn) -> None:
    """Speech began: what is held is held for this turn now."""
    reply = state.live_reply()
    if reply is not None and reply.held_by is not None:
        reply.held_by = turn.item_id


def consider(state: State, turn: CallerTurn) -> None:
    """Hold the reply that a turn is spoken over, once the turn has lasted long enough."""
    reply = _holdable(state)
    if reply is None:
        go_on(state, turn.item_id)
    elif reply.held_by is None and holds(turn.speech_s, state.profile.barge_in):
        _hold(state, reply, turn.item_id)


def go_on(state: State, holder: str) -> None:
    """Let a reply sound again that was held by this turn."""
    reply = state.live_reply()
    if reply is not None and reply.held_by == holder:
        reply.held_by = None
        if reply.stop_reason is None:
            state.order(do.ResumePlayout(reply.response_id))


def on_hold_lasted(state: State, event: told.HoldLasted) -> None:
    """Nothing was decided in time: who still speaks has the floor, else the agent goes on."""
    reply = state.live_reply()
    if reply is None or reply.response_id != event.response_id or reply.stop_reason is not None:
        return
    holder = reply.held_by
    if holder is None or reply.num_holds != event.number:
        return
    turn = state.turn
    speaks = turn is not None and turn.item_id == holder and turn.hearing is None
    if turn is not None and speaks and turn.spoke_at is not None and state.at - turn.spoke_at < _STILL_SPEAKING_S:
        replying.interrupt(state, reply)
    else:
        go_on(state, holder)


def _holdable(state: State) -> Reply | None:
    """Return the reply that the caller hears and may interrupt."""
    reply = state.live_reply()
    if reply is None or reply.stop_reason is not None or not state.settings.interrupt_response:
        return None
    return reply if reply.modality == "audio" and reply.audible else None


def _hold(state: State, reply: Reply, holder: str) -> None:
    reply.held_by = holder
    reply.num_holds += 1
    state.order(do.HoldPlayout(reply.response_id))
    state.order(do.LimitHold(reply.response_id, reply.num_holds, state.profile.barge_in.max_hold_ms / 1000))
