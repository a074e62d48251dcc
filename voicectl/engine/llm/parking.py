"""Keep the states of sessions that gave up their sequence, up to a number of bytes. Knows no sequences."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

State = bytes | memoryview
"""What a model wrote of a sequence; only the model can read it."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A session outside the cache: all its tokens, and the state of those behind the first `num_shared`."""

    tokens: tuple[int, ...]
    num_shared: int
    state: State


class ParkedStates:
    """Parked sessions; beyond `max_bytes` the one parked longest ago is dropped."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._parked: OrderedDict[str, Parked] = OrderedDict()
        self.num_bytes = 0

    def __len__(self) -> int:
        return len(self._parked)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._parked

    def put(self, session_id: str, tokens: Sequence[int], num_shared: int, state: State) -> int:
        """Keep a session and return how many are lost for it, this one included if it is too large."""
        self.forget(session_id)
        if len(state) > self._max_bytes:
            return 1
        self._parked[session_id] = Parked(tuple(tokens), num_shared, state)
        self.num_bytes += len(state)
        num_dropped = 0
        while self.num_bytes > self._max_bytes:
            self.forget(next(iter(self._parked)))
            num_dropped += 1
        return num_dropped

    def peek(self, session_id: str) -> Parked | None:
        """Return a session and keep it."""
        return self._parked.get(session_id)

    def take(self, session_id: str) -> Parked | None:
        """Return a session and keep it no longer."""
        parked = self._parked.get(session_id)
        self.forget(session_id)
        return parked

    def forget(self, session_id: str) -> None:
        """Drop a session; unknown ones are ignored."""
        parked = self._parked.pop(session_id, None)
        if parked is not None:
            self.num_bytes -= len(parked.state)
