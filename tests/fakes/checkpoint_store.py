"""A store of conversations in memory that can be taken down, slowed or spoilt."""

import asyncio
from collections.abc import Sequence

from voicectl.core.checkpoint import ConversationState
from voicectl.core.events import Item, SessionSettings, Tool
from voicectl.service.checkpoints.store import Entry
from voicectl.service.database import StorageUnavailable


class FakeCheckpointStore:
    """Keeps what it is given. `down` is the reason it gives for refusing; `gate`, once closed, lets nothing through."""

    place = "fake"

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.writes: list[list[str]] = []
        self.down: str | None = None
        self.num_attempts = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def write(self, entries: Sequence[Entry]) -> None:
        await self._pass()
        self.writes.append([entry.session_id for entry in entries])
        self.kept |= {entry.session_id: entry.encoded for entry in entries}

    async def read(self, session_id: str) -> bytes | None:
        await self._pass()
        return self.kept.get(session_id)

    async def purge(self) -> None:
        await self._pass()

    async def close(self) -> None:
        self.closed = True

    async def _pass(self) -> None:
        self.num_attempts += 1
        await self.gate.wait()
        if self.down is not None:
            raise StorageUnavailable(self.place, self.down)


def conversation(
    session_id: str = "sess_1",
    *,
    turns: int = 1,
    owner: str | None = "key",
    saved_at: float = 1e9,
    use_case: str | None = "faq",
) -> ConversationState:
    """Return a conversation of that many questions and answers."""
    items = [
        item
        for turn in range(turns)
        for item in (
            Item(f"item_{turn}q", "user", f"question {turn}", "audio"),
            Item(f"item_{turn}a", "assistant", f"answer {turn}", "audio", complete=turn < turns - 1),
        )
    ]
    settings = SessionSettings(instructions="be brief", tools=(Tool("hours", "opening hours", "{}"),))
    return ConversationState(session_id, owner, tuple(items), settings, saved_at, use_case)
