"""How punctually the frames of a reply arrived, against the schedule of a paced sender. Pure.

A paced sender plays the first frame at once and sends every later one `lead_s` before it is played:
frame n is due at `first arrival + offset of n − lead`. What arrives after that is late. A frame that
arrives even after its playing time finds the listener out of sound: that is a gap, counted apart,
and the schedule begins anew there, as the sender's and the listener's do.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from voicectl.bench.turns import Piece


@dataclass(frozen=True, slots=True)
class Pacing:
    """The punctuality of one reply. `late_s` has a value for each frame but the first, `gaps_s` one a gap."""

    late_s: tuple[float, ...]
    gaps_s: tuple[float, ...]


def pacing_of(pieces: Iterable[Piece], rate: int, lead_s: float) -> Pacing:
    """Measure the frames of one reply in their order, of `rate` samples a second."""
    late, gaps = [], []
    anchor_at: float | None = None
    offset_s = 0.0
    for piece in pieces:
        if anchor_at is None:
            anchor_at = piece.arrived_at
        else:
            plays_at = anchor_at + offset_s
            if piece.arrived_at > plays_at:
                gaps.append(piece.arrived_at - plays_at)
                anchor_at, offset_s = piece.arrived_at, 0.0
            else:
                late.append(max(0.0, piece.arrived_at - max(anchor_at, plays_at - lead_s)))
        offset_s += piece.samples.size / rate
    return Pacing(tuple(late), tuple(gaps))
