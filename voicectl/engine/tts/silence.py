"""Trim the silence around a segment while it streams. Pure arithmetic on samples."""

from typing import Final

import numpy as np

from voicectl.core.audio import Samples

WINDOW_S: Final = 0.005
"""Resolution of the level."""
QUIET_DBFS: Final = -50.0
"""Level (RMS of a window against full scale) below which there is nothing to hear.

The embedded voice speaks at -26 dBFS and idles below -60 dBFS before its first sound (2026-11-21).
"""
LEAD_S: Final = 0.010
"""Silence kept before the first sound, so that its attack is whole."""
SENTENCE_TAIL_S: Final = 0.180
"""Longest silence kept after a sentence; the voice itself leaves 105 to 265 ms."""
CLAUSE_TAIL_S: Final = 0.100
"""Longest silence kept after a clause that goes on."""

_QUIET_POWER: Final = 10.0 ** (QUIET_DBFS / 10.0)


class SilenceTrimmer:
    """Passes on the samples of one segment without its outer silence; pauses inside stay.

    Silence longer than the tail is held back until a sound follows it or the segment ends.
    """

    def __init__(self, sample_rate: int, *, tail_s: float) -> None:
        self._window = max(1, round(WINDOW_S * sample_rate))
        self._lead = round(LEAD_S * sample_rate)
        self._tail = round(tail_s * sample_rate)
        self._held: Samples = np.empty(0, dtype=np.float32)
        self._sounding = False
        self._quiet = 0
        self.num_dropped = 0
        """Samples dropped before the first one that was passed on."""
        self.num_passed = 0
        """Samples passed on so far."""

    def push(self, samples: Samples) -> Samples:
        """Take the next samples; return those that are sure to belong to the segment."""
        held = np.concatenate([self._held, samples])
        loud = np.flatnonzero(self._powers(held) > _QUIET_POWER)
        if not self._sounding:
            begin = max(0, (int(loud[0]) * self._window if loud.size else len(held)) - self._lead)
            self.num_dropped += begin
            if not loud.size:
                self._held = held[begin:]
                return held[:0]
            self._sounding = True
            held, loud = held[begin:], np.flatnonzero(self._powers(held[begin:]) > _QUIET_POWER)
        end = min(len(held), (int(loud[-1]) + 1) * self._window) if loud.size else 0
        if end:
            self._quiet = 0
        return self._pass(held, min(len(held), end + self._tail - self._quiet), since_sound=end)

    def finish(self, *, at_least: int) -> Samples:
        """Return what else must be passed on for `at_least` samples in all; the rest is dropped."""
        wanted = max(0, at_least - self.num_passed)
        return self._pass(self._held, min(len(self._held), wanted), since_sound=0)

    def _pass(self, held: Samples, count: int, *, since_sound: int) -> Samples:
        passed, self._held = held[:count], held[count:]
        self._quiet += count - since_sound
        self.num_passed += count
        return passed

    def _powers(self, samples: Samples) -> Samples:
        """Return the mean power of each window; the last may be shorter."""
        if not len(samples):
            return np.empty(0, dtype=np.float32)
        begins = np.arange(0, len(samples), self._window)
        lengths = np.minimum(self._window, len(samples) - begins)
        powers: Samples = (np.add.reduceat(np.square(samples, dtype=np.float64), begins) / lengths).astype(np.float32)
        return powers
