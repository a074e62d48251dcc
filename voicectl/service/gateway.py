"""What the gateway's HTTP side needs from the composition root. Knows no HTTP."""

from collections.abc import Mapping
from typing import Protocol

from voicectl.core.checkpoint import ConversationState
from voicectl.core.ports import LanguageModel, Purpose, Synthesizer, Transcriber
from voicectl.core.profile import Profile
from voicectl.core.rollout import Admitted, Refused
from voicectl.media.transports.realtime.connection import Conversation


class Gateway(Protocol):
    """What serves calls and requests; implemented by the composition root."""

    @property
    def profile(self) -> Profile:
        """The profile that runs."""
        ...

    @property
    def model_name(self) -> str:
        """The name that sessions report as their model."""
        ...

    @property
    def transcriber(self) -> Transcriber:
        """Speech to text, for requests outside calls."""
        ...

    @property
    def language_model(self) -> LanguageModel:
        """Text to text, for requests outside calls."""
        ...

    @property
    def synthesizer(self) -> Synthesizer:
        """Text to speech, for requests outside calls."""
        ...

    def open_conversation(
        self,
        session_id: str,
        *,
        owner: str | None,
        attributes: Mapping[str, str],
        state: ConversationState | None,
        purpose: Purpose,
    ) -> Conversation:
        """Return a call that is ready to run; with `state` it goes on where that was saved.

        `owner` is the id of the client's key, `attributes` is what the client says about the call. Raises
        RequestRejected when there is no room for it.
        """
        ...

    async def saved(self, session_id: str, owner: str | None) -> ConversationState | None:
        """Return the conversation of an earlier session, None when it is unknown, too old or somebody else's."""
        ...

    def stages(self) -> Mapping[str, str]:
        """Return the state of each stage of the engine, such as "ready", "starting" or "restarting"."""
        ...

    def ready(self) -> bool:
        """Return whether calls can be served now."""
        ...

    def admit(self, use_case: str) -> Admitted | Refused:
        """Return whether a call of this use case may be taken, and in which risk tier."""
        ...

    def resuming(self) -> bool:
        """Return whether broken-off calls may come back, as they may while the models still load."""
        ...
