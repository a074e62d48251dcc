"""What the appliance leaves out while its stages are late, as `service/load/overload.py` decides it. Pure."""

from collections import deque
from typing import Final

import numpy as np

WINDOW_S: Final = 10.0
RECOVER_S: Final = 5.0
LOW_RATIO: Final = 0.6
FEW: Final = 5
SHORTER: Final = 0.5
"""Part of a reply's length that is left (`overload.reply_tokens_factor`)."""
STEPS: Final = ("drop_partials", "rarer_partials", "shorter_replies")


class Ladder:
    """Steps taken one a second while a stage is late, and given back one by one when none is any more."""

    def __init__(self, limits_s: dict[str, float]) -> None:
        """`limits_s` are the latencies by stage above which the load is high; without any, no step is taken."""
        self._limits_s = limits_s
        self._recent: dict[str, deque[tuple[float, float]]] = {stage: deque() for stage in limits_s}
        self._low_since: float | None = None
        self.level = 0

    def note(self, now: float, stage: str, seconds: float) -> None:
        """Take note of how long a stage took."""
        if stage in self._recent:
            self._recent[stage].append((now, seconds))

    def look(self, now: float) -> None:
        """Take or give back a step; to be called about once a second."""
        ratio = max((self._ratio(now, stage) for stage in self._recent), default=0.0)
        if ratio >= 1:
            self._low_since = None
            self.level = min(len(STEPS), self.level + 1)
        elif ratio < LOW_RATIO and self.level:
            self._low_since = now if self._low_since is None else self._low_since
            if now - self._low_since >= RECOVER_S:
                self.level -= 1
                self._low_since = now
        else:
            self._low_since = None

    @property
    def partials(self) -> bool:
        """Return whether partial transcripts are made."""
        return self.level < 1

    @property
    def reply_factor(self) -> float:
        """Return the part of a reply's length that is left."""
        return SHORTER if self.level >= len(STEPS) else 1.0

    def _ratio(self, now: float, stage: str) -> float:
        recent = self._recent[stage]
        while recent and recent[0][0] < now - WINDOW_S:
            recent.popleft()
        if not recent:
            return 0.0
        share = 90 if len(recent) >= FEW else 50
        return float(np.percentile([seconds for _, seconds in recent], share)) / self._limits_s[stage]
