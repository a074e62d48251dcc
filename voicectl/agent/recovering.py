"""Go on when a stage fails: write a reply again, say that it takes longer, and at last ask for a person."""

from voicectl.agent.composing import compose, new_segmenter
from voicectl.agent.reply import Reply
from voicectl.agent.state import State
from voicectl.core import events as ev

MAX_FAILURES = 2
"""Failures of the language model after which a reply is given up; the first is followed by one more attempt."""

UNHEARD_BEFORE_ESCALATION = 2
"""Turns in a row that could not be transcribed after which a person is asked for."""


def recover(state: State, reply: Reply) -> bool:
    """Go on with a live reply whose text could not be written; False if nothing can be said."""
    message = reply.failure or ""
    speaks = reply.modality == "audio" and not reply.out_of_band
    reply.num_failures += 1
    if reply.num_failures < MAX_FAILURES:
        reply.begin_attempt(new_segmenter(state), again=True)
        if speaks and not reply.clauses and not reply.waited:
            reply.waited = True
            reply.recite(state.profile.fallback.wait_text)
        compose(state, reply)
        return True
    escalate(state, "llm", message)
    if not speaks:
        return False
    reply.begin_attempt(new_segmenter(state), again=True)
    reply.recite(state.profile.fallback.escalate_text)
    reply.finish = "stop"
    return True


def escalate(state: State, stage: str, message: str) -> None:
    """Ask for a person."""
    state.emit(ev.EscalationRequested(stage, message))


def text_for_unheard(state: State, message: str) -> str:
    """Return what is said instead of an answer to a turn that could not be transcribed."""
    state.num_unheard += 1
    if state.num_unheard < UNHEARD_BEFORE_ESCALATION:
        return state.profile.fallback.sorry_text
    escalate(state, "stt", message)
    return state.profile.fallback.escalate_text
