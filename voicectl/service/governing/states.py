"""Redact conversations before they are checkpointed. Knows no store."""

from collections import OrderedDict
from dataclasses import replace
from typing import Final

from voicectl.core.checkpoint import ConversationState
from voicectl.core.ports import CallRedactor, Redactor
from voicectl.service.governing.redacting import redacted_item, redacted_settings

MAX_SESSIONS: Final = 2000
"""Sessions whose texts are remembered; the texts of others are looked at anew."""


class StateRedactor:
    """Returns conversations as they may be written. Texts that it has seen cost next to nothing.

    Instructions are the client's and not the caller's: `instructions` takes less out of them, so that a
    conversation that goes on after a failure still knows the phone number of its own hotline.
    """

    def __init__(self, redactor: Redactor, instructions: Redactor) -> None:
        self._redactor = redactor
        self._instructions = instructions
        self._sessions: OrderedDict[str, CallRedactor] = OrderedDict()

    def __call__(self, state: ConversationState) -> ConversationState:
        """Return the conversation without what must not be kept."""
        call = self._sessions.pop(state.session_id, None) or self._redactor.open_call()
        self._sessions[state.session_id] = call
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        # Twice: a later entry may complete a number that an earlier one begins.
        for item in state.items:
            redacted_item(item, call)
        return replace(
            state,
            items=tuple(redacted_item(item, call) for item in state.items),
            settings=redacted_settings(state.settings, self._instructions.text),
        )
