"""Decide whether a key may ask again already. Knows keys by name, no clock and no request."""

from dataclasses import dataclass, field
from typing import Final

MINUTE_S: Final = 60.0
SESSION_RETRY_S: Final = 5.0
"""When to ask again for a session beyond the key's quota: nobody knows how long calls last."""


@dataclass(slots=True)
class TokenBucket:
    """Holds up to a minute's requests and fills evenly. A full one lets that many pass at once."""

    per_minute: int
    tokens: float
    filled_at: float

    def take(self, now: float) -> float | None:
        """Take one request out at `now`; return None, or the seconds until there is one."""
        rate = self.per_minute / MINUTE_S
        self.tokens = min(float(self.per_minute), self.tokens + max(0.0, now - self.filled_at) * rate)
        self.filled_at = max(self.filled_at, now)
        # A hair below one is one: the sum of many fills may miss it by rounding.
        if self.tokens >= 1.0 - 1e-9:
            self.tokens = max(0.0, self.tokens - 1.0)
            return None
        return (1.0 - self.tokens) / rate


@dataclass(slots=True)
class RateLimits:
    """The buckets of the keys that asked last, at most `max_keys`; who was forgotten begins with a full one."""

    max_keys: int = 10_000
    _buckets: dict[str, TokenBucket] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key_id: str, per_minute: int, now: float) -> float | None:
        """Count one request of a key at `now` seconds; return None, or the seconds it must wait."""
        bucket = self._buckets.pop(key_id, None)
        if bucket is None or bucket.per_minute != per_minute:
            bucket = TokenBucket(per_minute, float(per_minute), now)
        # Put back at the end: the first in the table is the one that asked longest ago.
        self._buckets[key_id] = bucket
        if len(self._buckets) > self.max_keys:
            del self._buckets[next(iter(self._buckets))]
        return bucket.take(now)


@dataclass(slots=True)
class SessionQuotas:
    """How many sessions each key has open."""

    _open: dict[str, int] = field(default_factory=dict)

    def take(self, key_id: str, max_sessions: int | None) -> bool:
        """Count a session of a key; return False when it has its fill."""
        num_open = self._open.get(key_id, 0)
        if max_sessions is not None and num_open >= max_sessions:
            return False
        self._open[key_id] = num_open + 1
        return True

    def give_back(self, key_id: str) -> None:
        """Count a session that is over."""
        left = self._open.get(key_id, 0) - 1
        if left > 0:
            self._open[key_id] = left
        else:
            self._open.pop(key_id, None)
