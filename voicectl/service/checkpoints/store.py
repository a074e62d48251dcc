"""What the keeper asks of a store of conversations. Stores see bytes, never what was said."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """An encoded conversation. `saved_at` is seconds since the epoch."""

    session_id: str
    saved_at: float
    encoded: bytes


class CheckpointStore(Protocol):
    """Keeps entries until their grace is over. Every method may raise StorageUnavailable, and waits a bounded time."""

    @property
    def place(self) -> str:
        """Where it is, for people; without secrets."""
        ...

    async def write(self, entries: Sequence[Entry]) -> None:
        """Keep the entries. One that is a little older than what is kept of its session changes nothing."""
        ...

    async def read(self, session_id: str) -> bytes | None:
        """Return what is kept of a session, None when there is nothing or its grace is over."""
        ...

    async def purge(self) -> None:
        """Remove what is over; also tells whether the store works."""
        ...

    async def close(self) -> None:
        """Let go of files and connections. Never raises."""
        ...
