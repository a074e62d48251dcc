"""The agent's side of a recorded call: its level, and a WAV file of it alone."""

import array
import io
import math
import sys
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .faults import TaskFailed

FULL_SCALE: Final = 32768.0
MAX_FRAMES: Final = 24_000 * 600
_SAMPLE_BYTES: Final = 2
_QUIET: Final = 200
"""Samples below this are no speech; the silence around the answer must not thin its level out."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono 16-bit samples. `rate` is in Hz."""

    samples: "array.array[int]"
    rate: int

    @property
    def rms(self) -> float:
        """Return the level of what is not silence, as a share of full scale."""
        loud = [sample for sample in self.samples if abs(sample) > _QUIET]
        return math.sqrt(sum(sample * sample for sample in loud) / len(loud)) / FULL_SCALE if loud else 0.0

    def voiced(self, margin_s: float = 0.2) -> "Sound":
        """Return the sound from its first to its last loud sample, with a little around."""
        loud = [index for index, sample in enumerate(self.samples) if abs(sample) > _QUIET]
        if not loud:
            return Sound(array.array("h"), self.rate)
        margin = round(margin_s * self.rate)
        return Sound(self.samples[max(0, loud[0] - margin) : loud[-1] + margin], self.rate)

    def wav(self) -> bytes:
        """Return the sound as a WAV file."""
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(_SAMPLE_BYTES)
            file.setframerate(self.rate)
            file.writeframes(_little_endian(self.samples).tobytes())
        return buffer.getvalue()


def agent_side(path: Path) -> Sound:
    """Return the right channel of a recorded call. Raises TaskFailed when the file is no such record."""
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getnchannels(), file.getsampwidth()) != (2, _SAMPLE_BYTES) or file.getnframes() > MAX_FRAMES:
                raise TaskFailed(f"{path}: not the record of a call: {file.getparams()}")
            rate = file.getframerate()
            samples = array.array("h", file.readframes(file.getnframes()))
    except (OSError, EOFError, wave.Error) as error:
        raise TaskFailed(f"{path}: the record of the golden call cannot be read: {error}") from error
    return Sound(_little_endian(samples)[1::2], rate)


def _little_endian(samples: "array.array[int]") -> "array.array[int]":
    if sys.byteorder == "big":
        samples = samples[:]
        samples.byteswap()
    return samples
