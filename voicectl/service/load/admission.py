"""Decide which new sessions get a place, which wait for one, and which are told when to come back."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Literal

from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.errors import RequestRejected

Door = Literal["open", "queue", "closed"]
"""Who gets in: whoever finds a place; only in the place of one who leaves, others wait; nobody."""

MIN_RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 60.0
UNKNOWN_RETRY_S: Final = 5.0
"""What a refused client is told while no place has become free recently."""
KEPT_RELEASES: Final = 32
RELEASE_WINDOW_S: Final = 300.0


class SessionRefused(RequestRejected):
    """There is no place for a new session; `retry_after_s` is when one may be free."""

    def __init__(self, message: str, *, retry_after_s: float, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a session gets no place, and when to ask again."""

    reason: str
    hint: str
    retry_after_s: float


Verdict = Literal["admitted", "waiting"] | Refusal


@dataclass(slots=True)
class Places:
    """The places of a gateway and who waits for them. Knows no socket and no clock.

    All methods take the instant they are called at.
    """

    max_sessions: int
    max_waiting: int
    door: Door = "open"
    draining: bool = False
    live: set[str] = field(default_factory=set)
    waiting: deque[str] = field(default_factory=deque)
    _released_at: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_RELEASES))

    def offer(self, session_id: str, now: float) -> Verdict:
        """Decide about a new session."""
        if self.draining:
            return Refusal("the gateway is stopping", "connect to another gateway", MIN_RETRY_S)
        if self.door == "open" and not self.waiting and len(self.live) < self.max_sessions:
            self.live.add(session_id)
            return "admitted"
        if self.door == "queue" and len(self.waiting) < self.max_waiting:
            self.waiting.append(session_id)
            return "waiting"
        return self.refusal(now)

    def refusal(self, now: float) -> Refusal:
        """Return what a session is told that gets no place now."""
        if self.draining:
            return Refusal("the gateway is stopping", "connect to another gateway", MIN_RETRY_S)
        if self.door == "open":
            reason = f"{len(self.live)} of {self.max_sessions} calls are in progress"
            hint = "try again later, or raise server.max_sessions in the profile"
        else:
            reason = f"the gateway is overloaded: {len(self.live)} calls are in progress, {len(self.waiting)} wait"
            hint = "try again later; the section overload of the profile says when calls are refused"
        return Refusal(reason, hint, self.retry_after_s(now))

    def release(self, session_id: str, now: float) -> list[str]:
        """Give a place back; return who of the waiting gets in."""
        if session_id not in self.live:
            return []
        self.live.remove(session_id)
        self._released_at.append(now)
        if self.door == "queue":
            return self._let_in(1)
        return self.let_in()

    def withdraw(self, session_id: str) -> None:
        """Let a waiting session go."""
        if session_id in self.waiting:
            self.waiting.remove(session_id)

    def let_in(self) -> list[str]:
        """Return who of the waiting gets in, as the door stands."""
        return self._let_in(self.max_sessions) if self.door == "open" else []

    def retry_after_s(self, now: float) -> float:
        """Return when a place may be free: as soon as they became free recently, one after the other."""
        recent = [at for at in self._released_at if now - at <= RELEASE_WINDOW_S]
        if not recent:
            return UNKNOWN_RETRY_S
        # From the first of them to now, so that a pause since the last one counts.
        interval_s = (now - recent[0]) / len(recent)
        return min(MAX_RETRY_S, max(MIN_RETRY_S, interval_s * (len(self.waiting) + 1)))

    def _let_in(self, limit: int) -> list[str]:
        entered: list[str] = []
        while self.waiting and not self.draining and len(entered) < limit and len(self.live) < self.max_sessions:
            session_id = self.waiting.popleft()
            self.live.add(session_id)
            entered.append(session_id)
        return entered


class Admission:
    """The places of a gateway as its endpoints use them; draining admits none, `closing` ends all calls."""

    def __init__(self, max_sessions: int, *, max_waiting: int = 0, waiting_s: float = 0.0, clock: Clock | None = None):
        """Open `max_sessions` places, and a waiting room for `max_waiting` that are kept up to `waiting_s`."""
        self._places = Places(max_sessions, max_waiting)
        self._waiting_s = waiting_s
        self._clock = clock or MonotonicClock()
        self._decided: dict[str, asyncio.Future[None]] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._num_refused = 0
        self.closing: Final = asyncio.Event()

    def __len__(self) -> int:
        return len(self._places.live)

    @property
    def max_sessions(self) -> int:
        """How many calls may be in progress."""
        return self._places.max_sessions

    @property
    def num_waiting(self) -> int:
        """How many sessions wait for a place."""
        return len(self._places.waiting)

    @property
    def num_refused(self) -> int:
        """How many sessions were refused so far."""
        return self._num_refused

    @property
    def draining(self) -> bool:
        """Whether no session is admitted any more."""
        return self._places.draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self._places.draining = value
        if value:
            for decided in self._decided.values():
                _wake(decided)

    @property
    def door(self) -> Door:
        """Who gets in at present."""
        return self._places.door

    def set_door(self, door: Door) -> None:
        """Open or close the door, as the load asks for it; who waits stays until it is his turn or his time is up."""
        self._places.door = door
        self._tell(self._places.let_in())

    async def admit(self, session_id: str) -> None:
        """Take a place; waits for one only while the door says so. Raises SessionRefused."""
        verdict = self._places.offer(session_id, self._clock.now())
        if verdict == "waiting":
            verdict = await self._wait(session_id)
        if isinstance(verdict, Refusal):
            self._num_refused += 1
            raise SessionRefused(verdict.reason, hint=verdict.hint, retry_after_s=verdict.retry_after_s)
        self._empty.clear()

    def release(self, session_id: str) -> None:
        """Give a place back."""
        self._tell(self._places.release(session_id, self._clock.now()))
        if not self._places.live:
            self._empty.set()

    async def wait_empty(self) -> None:
        """Return when no call is in progress."""
        await self._empty.wait()

    async def _wait(self, session_id: str) -> Verdict:
        decided = self._decided[session_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._waiting_s):
                await decided
        except TimeoutError:
            # Its turn may have come in the same instant.
            pass
        except asyncio.CancelledError:
            self._places.withdraw(session_id)
            self.release(session_id)
            raise
        finally:
            del self._decided[session_id]
        if session_id in self._places.live:
            return "admitted"
        self._places.withdraw(session_id)
        return self._places.refusal(self._clock.now())

    def _tell(self, entered: list[str]) -> None:
        for session_id in entered:
            # From now on the place is taken, whether or not its task has run.
            self._empty.clear()
            decided = self._decided.get(session_id)
            if decided is not None:
                _wake(decided)


def _wake(decided: asyncio.Future[None]) -> None:
    if not decided.done():
        decided.set_result(None)
