"""Decide whose audio is made next: first clauses at once, continuations before they run dry. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from voicectl.core.ports import Priority

MARGIN_S: Final = 0.15
"""A stream that would run dry within this time of a first clause's arrival goes before it."""
LEISURE_S: Final = 1.0
"""A stream with more audio than this ahead is continued in the background: even with a tenth of a core,
which is what niceness leaves it under full load, a chunk is made within this time."""
ASSUMED_AHEAD_S: Final = 0.5
"""Audio taken to be ahead of a clause that continues a reply: what was made of the clause before."""


@dataclass(frozen=True, slots=True)
class Need:
    """How urgent one stream's next chunk is; instants are on the stage's clock.

    `dry_at` is when the listener has heard all that was delivered; None before a first clause's first sound.
    """

    due_at: float
    order: int
    dry_at: float | None

    def can_wait(self, now: float) -> bool:
        """Tell whether the background is soon enough."""
        return self.dry_at is not None and self.dry_at - now > LEISURE_S


class Stream:
    """One request on its way to its listener, who hears it in real time from its first sound on."""

    def __init__(self, priority: int, order: int, *, submitted_at: float) -> None:
        self._order = order
        self._continues = priority != Priority.FINAL
        self._submitted_at = submitted_at
        self._first_at: float | None = None
        self._delivered_s = 0.0

    @property
    def begun(self) -> bool:
        """Return whether any audio was handed over."""
        return self._first_at is not None

    def delivered(self, seconds: float, now: float) -> None:
        """Take note of audio that was handed over."""
        if self._first_at is None and seconds > 0:
            self._first_at = now
        self._delivered_s += seconds

    def need(self) -> Need:
        """Return how urgent the next chunk is.

        All is a matter of due times: a first clause is due when it comes, a continuation shortly before its
        listener would hear a gap. So neither can starve the other, however many there are.
        """
        ahead_s = ASSUMED_AHEAD_S if self._continues else 0.0
        if self._first_at is not None:
            dry_at = self._first_at + self._delivered_s + ahead_s
        elif self._continues:
            dry_at = self._submitted_at + ahead_s
        else:
            return Need(self._submitted_at, self._order, None)
        return Need(dry_at - MARGIN_S, self._order, dry_at)


T = TypeVar("T")


def choose(waiting: Iterable[tuple[Need, T]], now: float, *, background: bool) -> T | None:
    """Return what a worker does next, None for nothing. One in the background takes only what can wait."""
    suitable = [(need, item) for need, item in waiting if need.can_wait(now) == background]
    if not suitable:
        return None
    return min(suitable, key=lambda pair: (pair[0].due_at, pair[0].order))[1]


def reconsider_s(waiting: Iterable[Need], now: float) -> float | None:
    """Return the seconds until one that can wait no longer can; None if none will."""
    instants = [need.dry_at - LEISURE_S - now for need in waiting if need.dry_at is not None and need.can_wait(now)]
    return max(0.0, min(instants)) if instants else None
