"""The sessions that are live in this gateway, and how each is made to end. Knows no wire."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from voicectl.media.transports.realtime.connection import GOING_AWAY

TAKEN_OVER: Final = 4409
"""Close code of a connection whose session went on over another one."""
POLICY_VIOLATION: Final = 1008


@dataclass(frozen=True, slots=True)
class SeatEnding:
    """Why the gateway ends a session: the close code, words, and the code of the `error` event before it."""

    code: int
    reason: str
    error: str | None = None


@dataclass(slots=True)
class Seat:
    """One session while it is connected. `at` is when, on the loop's clock, what `ending` says happens.

    `use_case` is None until it is known.
    """

    session_id: str
    owner: str | None
    at: float
    ending: SeatEnding
    expires_at: float
    use_case: str | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: asyncio.Timeout | None = None

    def end(self, ending: SeatEnding) -> None:
        """End the session now."""
        self.ending, self.at = ending, asyncio.get_running_loop().time()
        if self._waiting is not None:
            self._waiting.reschedule(self.at)

    def extend(self, at: float, ending: SeatEnding) -> None:
        """Move the end of a session that is not over to a later instant, for another reason."""
        if not self.is_over():
            self.at, self.ending = at, ending

    def is_over(self) -> bool:
        """Return whether the session's time is up."""
        return asyncio.get_running_loop().time() >= self.at

    def waiting(self) -> asyncio.Timeout:
        """Return the limit for one wait on the client; TimeoutError means that the time is up."""
        self._waiting = asyncio.timeout_at(self.at)
        return self._waiting

    def waited(self) -> None:
        """Note that the wait is over."""
        self._waiting = None


class Seats:
    """All live sessions by id."""

    def __init__(self, *, first_event_s: float, max_session_s: float) -> None:
        self._first_event_s = first_event_s
        self._max_session_s = max_session_s
        self._seats: dict[str, Seat] = {}

    def __len__(self) -> int:
        return len(self._seats)

    def holder(self, session_id: str) -> Seat | None:
        """Return the live session of that id, whosoever it is."""
        return self._seats.get(session_id)

    def take(self, session_id: str, owner: str | None) -> Seat:
        """Begin a session: it must send something soon."""
        now = asyncio.get_running_loop().time()
        silent = SeatEnding(POLICY_VIOLATION, f"nothing received within {self._first_event_s:g} s")
        seat = Seat(session_id, owner, now + self._first_event_s, silent, expires_at=now + self._max_session_s)
        self._seats[session_id] = seat
        return seat

    def begun(self, seat: Seat) -> None:
        """Note that a session has sent something: from now on only its length is bounded."""
        reason = f"the session hit the maximum duration of {self._max_session_s:g} s"
        seat.extend(seat.expires_at, SeatEnding(GOING_AWAY, reason, "session_expired"))

    def leave(self, seat: Seat) -> None:
        """End a session whose connection is gone."""
        seat.left.set()
        # After a take-over the id belongs to the session that followed.
        if self._seats.get(seat.session_id) is seat:
            del self._seats[seat.session_id]

    def end_of(self, is_unwanted: Callable[[str], bool]) -> None:
        """End the sessions of owners that are not wanted any more."""
        for seat in self._seats.values():
            if seat.owner is not None and is_unwanted(seat.owner):
                seat.end(SeatEnding(POLICY_VIOLATION, "the API key was revoked or has expired", "invalid_api_key"))
