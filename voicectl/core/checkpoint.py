"""What is kept of a conversation so that it survives the process that served it."""

from dataclasses import dataclass

from voicectl.core.events import Item, SessionSettings


@dataclass(frozen=True, slots=True)
class ConversationState:
    """A conversation after a turn.

    The last of `items` may be a reply that was being spoken (`complete` is False, its text is what had
    begun to sound). `owner` names the key of the client that opened it, None without keys; `saved_at`
    is seconds since the epoch. `use_case` is what the call is for; None where nothing was told.
    """

    session_id: str
    owner: str | None
    items: tuple[Item, ...]
    settings: SessionSettings
    saved_at: float
    use_case: str | None = None
