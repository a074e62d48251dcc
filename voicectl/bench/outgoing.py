"""A caller's own voice as a stream of 20 ms frames that never stops. Knows no socket and no clock."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import soxr

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.turns import Spoken
from voicectl.core.audio import FRAME_S, Samples

FRAME_SAMPLES: Final = round(FRAME_S * RATE_HZ)
SILENT_FRAME: Final[Samples] = np.zeros(FRAME_SAMPLES, dtype=np.float32)
"""The frame of a caller who says nothing; always this very object, so that it can be told by identity."""
SILENT_FRAME.setflags(write=False)


@dataclass(slots=True)
class Outgoing:
    """What is still to be said, and what was said; `num_sent` counts samples."""

    queued: list[Samples] = field(default_factory=list)
    sent: list[Samples] = field(default_factory=list)
    num_sent: int = 0
    origin_at: float = 0.0
    late_s: list[float] = field(default_factory=list)

    def say(self, samples: Samples) -> Spoken:
        """Queue mono samples at 24 kHz behind the frames that have left; return when they are spoken."""
        position_s = self.num_sent / RATE_HZ
        self.queued.append(samples)
        return Spoken(samples, self.origin_at + position_s, position_s)

    def since(self, position: int) -> Spoken:
        """Return what was sent from sample `position` of the stream on."""
        position_s = position / RATE_HZ
        return Spoken(np.concatenate(self.sent)[position:], self.origin_at + position_s, position_s)

    def next_frame(self) -> Samples:
        """Take 20 ms from the queue, filled up with silence."""
        if not self.queued:
            return SILENT_FRAME
        frame: Samples = np.zeros(FRAME_SAMPLES, dtype=np.float32)
        filled = 0
        while self.queued and filled < FRAME_SAMPLES:
            piece = self.queued.pop(0)
            taken = piece[: FRAME_SAMPLES - filled]
            frame[filled : filled + taken.size] = taken
            filled += taken.size
            if taken.size < piece.size:
                self.queued.insert(0, piece[taken.size :])
        return frame

    def mark_sent(self, frame: Samples, late_s: float) -> None:
        """Note that a frame has left, so much behind its time."""
        self.sent.append(frame)
        self.num_sent += frame.size
        self.late_s.append(late_s)

    @property
    def worst_late_s(self) -> float:
        """Return how late the latest frame left, seconds."""
        return max(self.late_s, default=0.0)

    @property
    def next_due_at(self) -> float:
        """Return when the next frame is complete and leaves."""
        return self.origin_at + (self.num_sent + FRAME_SAMPLES) / RATE_HZ


def at_wire_rate(samples: Samples, rate: int) -> Samples:
    """Return mono samples, shape (n,), at the wire's 24 kHz."""
    converted: Samples = soxr.resample(samples, rate, RATE_HZ, quality="HQ").astype(np.float32)
    return converted
