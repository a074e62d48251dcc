"""One conversation as a state machine: inputs and instants in, commands out. Does nothing itself."""

from collections.abc import Callable
from typing import Any, Final

from voicectl.agent import calling, composing, hearing, holding, replying, requests, resuming
from voicectl.agent import inputs as told
from voicectl.agent.commands import Checkpoint, Command
from voicectl.agent.inputs import AgentInput
from voicectl.agent.state import State
from voicectl.core import events as ev
from voicectl.core.checkpoint import ConversationState
from voicectl.core.profile import Profile

SessionInput = (
    AgentInput
    | ev.SessionConfigured
    | ev.ResponseRequested
    | ev.ResponseCancelRequested
    | ev.ItemCreateRequested
    | ev.ItemDeleteRequested
    | ev.ItemRetrieveRequested
    | ev.AudioClearRequested
    | ev.CallerLeft
)

# Each handler takes exactly the type it is listed under, which no static type can say of a table.
_HANDLERS: Final[dict[type, Callable[[State, Any], None]]] = {
    told.CallerStirred: holding.on_stirred,
    told.CallerBegan: hearing.on_began,
    told.CallerSpeaking: hearing.on_speaking,
    told.CallerHesitated: hearing.on_hesitated,
    told.CallerResumed: hearing.on_resumed,
    told.CallerFinished: hearing.on_finished,
    told.CallerWasNoise: hearing.on_noise,
    told.TurnTranscribed: hearing.on_transcribed,
    told.TurnNotTranscribed: hearing.on_not_transcribed,
    told.PartialTranscribed: hearing.on_partial,
    told.ReplyPiece: replying.on_piece,
    told.ReplyFailed: replying.on_failed,
    told.ClauseFailed: replying.on_clause_failed,
    told.ClauseSounding: replying.on_clause_sounding,
    told.ToolReturned: calling.on_tool_returned,
    told.Reminded: replying.on_reminded,
    told.MeasuresChanged: requests.on_measures,
    told.ContextKnown: requests.on_context,
    told.ClauseStarted: replying.on_clause_started,
    told.ClauseEnded: replying.on_clause_ended,
    told.PlayoutBegan: replying.on_playout_began,
    told.HoldLasted: holding.on_hold_lasted,
    told.PlayoutDrained: replying.on_playout_drained,
    told.PlayoutStopped: replying.on_playout_stopped,
    told.ItemHeardUpTo: requests.on_heard_up_to,
    ev.SessionConfigured: requests.on_configured,
    ev.ResponseRequested: requests.on_response_requested,
    ev.ResponseCancelRequested: requests.on_response_cancel,
    ev.ItemCreateRequested: requests.on_item_create,
    ev.ItemDeleteRequested: requests.on_item_delete,
    ev.ItemRetrieveRequested: requests.on_item_retrieve,
    ev.AudioClearRequested: requests.on_clear,
    ev.CallerLeft: requests.on_left,
}


class Session:
    """All state of one conversation. `step` is the only way in; instants are session seconds."""

    def __init__(
        self, profile: Profile, new_id: Callable[[str], str], *, gateway_tools: tuple[ev.Tool, ...] = ()
    ) -> None:
        """Calls of `gateway_tools` are not left to the client: the session has them carried out."""
        self._state = State(profile, new_id, gateway_tools)

    @property
    def settings(self) -> ev.SessionSettings:
        """The settings in force."""
        return self._state.settings

    def expected(self) -> composing.Expected:
        """Return how the prompt of the caller's next turn will begin, as the conversation stands."""
        return composing.expected(self._state)

    def step(self, event: SessionInput, at: float) -> list[Command]:
        """Take one input at instant `at` and return what is to be done, in order."""
        state = self._begin(at)
        _HANDLERS[type(event)](state, event)
        return self._ordered()

    def state(self, session_id: str, owner: str | None, saved_at: float) -> ConversationState:
        """Return what is to be kept of the conversation."""
        return resuming.conversation_state(self._state, session_id, owner, saved_at)

    def restore(self, kept: ConversationState, at: float) -> list[Command]:
        """Go on with a conversation, before anything else happens: what was not answered is answered now."""
        state = self._begin(at)
        resuming.restore(state, kept)
        return self._ordered()

    def _begin(self, at: float) -> State:
        state = self._state
        state.at = at
        state.commands = []
        state.to_keep = False
        return state

    def _ordered(self) -> list[Command]:
        if self._state.to_keep:
            self._state.order(Checkpoint())
        return self._state.commands
