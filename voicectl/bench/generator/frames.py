"""A caller's voice as 20 ms frames, encoded for the wire before the run. Knows no socket and no clock."""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from websockets.frames import Frame, Opcode

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.outgoing import FRAME_SAMPLES
from voicectl.bench.workload.ready import ReadyWorkload
from voicectl.core.audio import BYTES_PER_SAMPLE, FRAME_S

FRAME_BYTES: Final = FRAME_SAMPLES * BYTES_PER_SAMPLE
assert FRAME_SAMPLES == FRAME_S * RATE_HZ


def wire_frames(pcm: bytes) -> tuple[bytes, ...]:
    """Return 16-bit PCM as masked WebSocket frames of one `input_audio_buffer.append` each, the last one padded.

    Masks are drawn once and reused: they guard intermediaries against hostile content (RFC 6455, 10.3), and
    what is sent here is ours. Encoding and masking at send time cost four times as much as the rest of it.
    """
    return tuple(_wire_frame(pcm[start : start + FRAME_BYTES]) for start in range(0, len(pcm), FRAME_BYTES))


def _wire_frame(pcm: bytes) -> bytes:
    audio = base64.b64encode(pcm.ljust(FRAME_BYTES, b"\0")).decode("ascii")
    text = f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}'
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=True)


@dataclass(frozen=True, slots=True)
class FrameBank:
    """All frames that any call may send: one tuple for each sound, and what is sent in between, repeated."""

    sounds: tuple[tuple[bytes, ...], ...]
    between: tuple[bytes, ...]

    @classmethod
    def of(cls, workload: ReadyWorkload) -> "FrameBank":
        """Encode every sound of a workload."""
        between = wire_frames(workload.backdrop) if workload.backdrop else wire_frames(bytes(FRAME_BYTES))
        return cls(tuple(wire_frames(sound.pcm) for sound in workload.sounds), between)


@dataclass(slots=True)
class Timeline:
    """What one caller sends: frame n holds [n, n+1) × 20 ms from `origin_at`, and leaves when it is complete.

    Words are placed at the instant they are meant for; a process that falls behind sends them late, and the
    instant stays what it was. `offset` is where in the noise between the words the caller begins.
    """

    between: Sequence[bytes]
    origin_at: float = 0.0
    num_sent: int = 0
    offset: int = 0
    _placed: list[tuple[int, Sequence[bytes]]] = field(default_factory=list)

    @property
    def next_due_at(self) -> float:
        """Return when the next frame is complete and leaves."""
        return self.origin_at + (self.num_sent + 1) * FRAME_S

    def place(self, frames: Sequence[bytes], at: float) -> float:
        """Say `frames` from `at` on, or as soon as what was sent and placed allows; return the exact instant."""
        earliest = max(self.num_sent, self._placed[-1][0] + len(self._placed[-1][1]) if self._placed else 0)
        # A hair under a frame's edge is that edge: sums of floats must not cost 20 ms.
        first = max(earliest, math.ceil((at - self.origin_at) / FRAME_S - 1e-6))
        self._placed.append((first, frames))
        return self.origin_at + first * FRAME_S

    def take(self) -> bytes:
        """Return the next frame and count it as sent."""
        number = self.num_sent
        self.num_sent += 1
        if self._placed:
            first, frames = self._placed[0]
            if number >= first:
                if number == first + len(frames) - 1:
                    self._placed.pop(0)
                return frames[number - first]
        return self.between[(number + self.offset) % len(self.between)]

    def position_s(self, at: float) -> float:
        """Return the stream position, seconds, of what is said at `at`."""
        return at - self.origin_at
