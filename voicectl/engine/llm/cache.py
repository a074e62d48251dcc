"""Keep account of which session's tokens lie in which sequence. Decides; `runner` carries it out.

Sequence 0 holds the prompt prefix that all sessions share and is never given to one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

PREFIX_SEQUENCE: Final = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """What to do before a prompt runs in a sequence.

    Cut the sequence to `keep` tokens, then, if `share` is not 0, let it begin with that many
    tokens of the prefix sequence; the prompt's first `cached` tokens are then in place.
    """

    sequence: int
    keep: int
    share: int

    @property
    def cached(self) -> int:
        """Return how many tokens of the prompt need not run again."""
        return self.share or self.keep


@dataclass(slots=True)
class _Slot:
    sequence: int
    session_id: str | None = None
    tokens: list[int] = field(default_factory=list)
    num_shared: int = 0
    is_busy: bool = False
    used_at: int = 0

    def cut(self, length: int) -> None:
        del self.tokens[length:]
        self.num_shared = min(self.num_shared, length)


class SequenceCache:
    """Sessions and the tokens they hold. A session is busy from `acquire` to `release`."""

    def __init__(self, num_slots: int) -> None:
        """`num_slots` is the number of sessions that can be held at the same time."""
        self._slots = [_Slot(sequence) for sequence in range(PREFIX_SEQUENCE + 1, num_slots + 1)]
        self._by_session: dict[str, _Slot] = {}
        self._prefix: list[int] = []
        self._num_uses = 0

    def hold_prefix(self, tokens: Sequence[int]) -> None:
        """Note what the prefix sequence holds."""
        self._prefix = list(tokens)

    def acquire(self, session_id: str, prompt: Sequence[int]) -> Lease | None:
        """Give a session a sequence that begins with as much of `prompt` as possible; None if all are busy.

        At least the last token of the prompt is left to run, because the reply is drawn from it.
        A session without a sequence takes a free one, or that of the session idle for longest.
        """
        slot = self._by_session.get(session_id) or self._vacate()
        if slot is None or slot.is_busy:
            return None
        limit = len(prompt) - 1
        keep = min(common_prefix(slot.tokens, prompt), limit)
        share = min(common_prefix(self._prefix, prompt), limit)
        if share <= keep:
            share = 0
            slot.cut(keep)
        else:
            keep = 0
            slot.tokens = list(prompt[:share])
            slot.num_shared = share
        self._num_uses += 1
        slot.used_at = self._num_uses
        slot.session_id = session_id
        slot.is_busy = True
        self._by_session[session_id] = slot
        return Lease(slot.sequence, keep=keep, share=share)

    def extend(self, session_id: str, tokens: Iterable[int]) -> None:
        """Note tokens that have run."""
        self._by_session[session_id].tokens.extend(tokens)

    def cut(self, session_id: str, length: int) -> None:
        """Note that only the first `length` tokens of a session are left."""
        self._by_session[session_id].cut(length)

    def release(self, session_id: str) -> None:
        """Make a session idle; what it holds stays until another needs the room."""
        self._by_session[session_id].is_busy = False

    def forget(self, session_id: str) -> int | None:
        """Drop a session and return the sequence to empty; None if it holds none."""
        slot = self._by_session.pop(session_id, None)
        if slot is None:
            return None
        slot.session_id = None
        slot.is_busy = False
        slot.cut(0)
        return slot.sequence

    def evict_idle(self) -> int | None:
        """Drop the session idle for longest and return the sequence to empty; None if all are busy."""
        victim = min(self._idle(), key=lambda slot: slot.used_at, default=None)
        return self.forget(victim.session_id) if victim and victim.session_id else None

    def busy_sessions(self) -> frozenset[str]:
        """Return the sessions with a request under way."""
        return frozenset(session_id for session_id, slot in self._by_session.items() if slot.is_busy)

    def sequence(self, session_id: str) -> int:
        """Return the sequence of a session."""
        return self._by_session[session_id].sequence

    def tokens(self, session_id: str) -> tuple[int, ...]:
        """Return what a session holds; nothing for unknown sessions."""
        slot = self._by_session.get(session_id)
        return tuple(slot.tokens) if slot else ()

    def num_tokens(self) -> int:
        """Return how many tokens lie in the cache; shared ones count once."""
        return len(self._prefix) + sum(len(slot.tokens) - slot.num_shared for slot in self._slots)

    def _vacate(self) -> _Slot | None:
        free = next((slot for slot in self._slots if slot.session_id is None), None)
        if free is not None:
            return free
        victim = min(self._idle(), key=lambda slot: slot.used_at, default=None)
        if victim is not None and victim.session_id is not None:
            self.forget(victim.session_id)
        return victim

    def _idle(self) -> Iterable[_Slot]:
        return (slot for slot in self._by_session.values() if not slot.is_busy)


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many tokens two sequences have in common at their beginning."""
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))
