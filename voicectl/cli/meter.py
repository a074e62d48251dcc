"""How loud a sound is, as a bar of blocks."""

import math
from typing import Final

import numpy as np

from voicectl.core.audio import Samples

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_QUIETEST_DB: Final = -60.0


def level_db(samples: Samples) -> float:
    """Return the level of mono samples in dB relative to full scale, -60 at the least."""
    if samples.size == 0:
        return _QUIETEST_DB
    power = float(np.mean(np.square(samples)))
    return max(_QUIETEST_DB, 10 * math.log10(power)) if power > 0 else _QUIETEST_DB


class Meter:
    """The levels of the last moments as a bar of `width` blocks."""

    def __init__(self, width: int = 12) -> None:
        self._levels = [_QUIETEST_DB] * width

    def add(self, samples: Samples) -> None:
        """Take in the next piece of sound."""
        self._levels = [*self._levels[1:], level_db(samples)]

    def bar(self) -> str:
        """Return the bar, newest level on the right."""
        steps = len(_BLOCKS) - 1
        return "".join(_BLOCKS[round(steps * (1 - level / _QUIETEST_DB))] for level in self._levels)
