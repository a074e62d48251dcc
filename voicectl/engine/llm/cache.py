"""Keep account of which session's tokens lie in which sequence. Decides; `residency` carries it out.

Sequence 0 holds the prompt prefix that all sessions share and is never given to one. All sequences draw
on one pool of cells, a cell a token; a session that begins with the shared prefix uses the prefix's cells.
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


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What a sequence holds of its session: `tokens`, the first `num_shared` of them in the prefix's cells."""

    sequence: int
    tokens: tuple[int, ...]
    num_shared: int


@dataclass(slots=True)
class _Slot:
    sequence: int
    session_id: str | None = None
    tokens: list[int] = field(default_factory=list)
    num_shared: int = 0
    num_reserved: int = 0
    is_busy: bool = False
    used_at: int = 0

    def cut(self, length: int) -> None:
        del self.tokens[length:]
        self.num_shared = min(self.num_shared, length)

    def num_cells(self) -> int:
        """Return the cells that are the session's own, or will be when its request has ended."""
        own = len(self.tokens) - self.num_shared
        return max(own, self.num_reserved) if self.is_busy else own


class SequenceCache:
    """Sessions and the tokens they hold. A session is busy from `acquire` to `release`."""

    def __init__(self, num_slots: int, *, num_cells: int, idle_cells: int | None = None) -> None:
        """`num_slots` sessions share `num_cells`, of which idle ones should keep at most `idle_cells`."""
        self._slots = [_Slot(sequence) for sequence in range(PREFIX_SEQUENCE + 1, num_slots + 1)]
        self._by_session: dict[str, _Slot] = {}
        self._prefix: list[int] = []
        self._num_cells = num_cells
        self._idle_cells = num_cells if idle_cells is None else idle_cells
        self._num_uses = 0

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._by_session

    def hold_prefix(self, tokens: Sequence[int]) -> None:
        """Note what the prefix sequence holds."""
        self._prefix = list(tokens)

    # --- room --------------------------------------------------------------------------------

    def make_room(self, session_id: str, num_tokens: int) -> tuple[str, ...] | None:
        """Return whom to send away, longest idle first, so that a session can hold `num_tokens` of its own.

        None when only busy sessions are left to send away: the session must wait.
        """
        own = self._by_session.get(session_id)
        held = own.num_cells() if own is not None and not own.is_busy else 0
        excess = self.num_taken() - held + num_tokens - self._num_cells
        lacks_slot = own is None and all(slot.session_id is not None for slot in self._slots)
        victims: list[str] = []
        for slot in self._longest_idle(apart_from=own):
            if excess <= 0 and not lacks_slot:
                break
            victims.append(slot.session_id or "")
            excess -= slot.num_cells()
            lacks_slot = False
        return None if excess > 0 or lacks_slot else tuple(victims)

    def surplus(self) -> tuple[str, ...]:
        """Return the idle sessions to send away because attention reads every cell; the last used one stays."""
        idle = self._longest_idle()
        num_cells = sum(slot.num_cells() for slot in idle)
        victims = []
        for slot in idle[:-1]:
            if num_cells <= self._idle_cells:
                break
            victims.append(slot.session_id or "")
            num_cells -= slot.num_cells()
        return tuple(victims)

    def num_taken(self) -> int:
        """Return the cells that are in use or promised to busy sessions."""
        return len(self._prefix) + sum(slot.num_cells() for slot in self._slots)

    # --- sessions ----------------------------------------------------------------------------

    def adopt(self, session_id: str, tokens: Sequence[int], num_shared: int) -> int | None:
        """Give an idle session a free sequence that will hold `tokens`, and return it; None if there is none."""
        slot = self._free()
        if slot is None or session_id in self._by_session:
            return None
        self._by_session[session_id] = slot
        slot.session_id = session_id
        slot.tokens = list(tokens)
        slot.num_shared = num_shared
        self.touch(session_id)
        return slot.sequence

    def acquire(self, session_id: str, prompt: Sequence[int], num_new: int = 0) -> Lease | None:
        """Give a session a sequence that begins with as much of `prompt` as possible; None if there is none.

        At least the last token of the prompt is left to run, because the reply is drawn from it.
        `num_new` more tokens are promised to the session beside its prompt.
        """
        slot = self._by_session.get(session_id) or self._free()
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
        slot.session_id = session_id
        slot.is_busy = True
        slot.num_reserved = len(prompt) + num_new - slot.num_shared
        self._by_session[session_id] = slot
        self.touch(session_id)
        return Lease(slot.sequence, keep=keep, share=share)

    def touch(self, session_id: str) -> None:
        """Count a session as used just now; unknown ones are ignored."""
        if (slot := self._by_session.get(session_id)) is not None:
            self._num_uses += 1
            slot.used_at = self._num_uses

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

    # --- questions ---------------------------------------------------------------------------

    def longest_idle(self) -> str | None:
        """Return the session idle for longest; None if all are busy."""
        return next((slot.session_id for slot in self._longest_idle()), None)

    def busy_sessions(self) -> frozenset[str]:
        """Return the sessions with a request under way."""
        return frozenset(session_id for session_id, slot in self._by_session.items() if slot.is_busy)

    def sessions(self) -> tuple[str, ...]:
        """Return the sessions that hold a sequence."""
        return tuple(self._by_session)

    def num_sessions(self) -> int:
        """Return how many sessions hold a sequence."""
        return len(self._by_session)

    def sequence(self, session_id: str) -> int:
        """Return the sequence of a session."""
        return self._by_session[session_id].sequence

    def tenancy(self, session_id: str) -> Tenancy | None:
        """Return what a session holds; None for one without a sequence."""
        slot = self._by_session.get(session_id)
        return Tenancy(slot.sequence, tuple(slot.tokens), slot.num_shared) if slot else None

    def num_useful(self, tokens: Sequence[int], prompt: Sequence[int]) -> int:
        """Return how many tokens of a prompt `tokens` spare, beyond those that the shared prefix spares."""
        return common_prefix(tokens, prompt) - common_prefix(self._prefix, prompt)

    def num_known(self, tokens: Sequence[int], prompt: Sequence[int]) -> int:
        """Return how many tokens of a prompt `tokens` or the shared prefix spare."""
        return max(common_prefix(tokens, prompt), common_prefix(self._prefix, prompt))

    def num_tokens(self) -> int:
        """Return how many tokens lie in the cache; shared ones count once."""
        return len(self._prefix) + sum(len(slot.tokens) - slot.num_shared for slot in self._slots)

    def _free(self) -> _Slot | None:
        return next((slot for slot in self._slots if slot.session_id is None), None)

    def _longest_idle(self, *, apart_from: _Slot | None = None) -> list[_Slot]:
        idle = (slot for slot in self._by_session.values() if not slot.is_busy and slot is not apart_from)
        return sorted(idle, key=lambda slot: slot.used_at)


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Return how many tokens two sequences have in common at their beginning."""
    for index, (one, other) in enumerate(zip(left, right, strict=False)):
        if one != other:
            return index
    return min(len(left), len(right))
