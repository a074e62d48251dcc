"""The sample formats of the wire, and the conversion between them and 16-bit PCM."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from voicectl.core.audio import BYTES_PER_SAMPLE, float_to_pcm16, pcm16_to_float
from voicectl.media.g711 import alaw_to_pcm16, pcm16_to_alaw, pcm16_to_ulaw, ulaw_to_pcm16
from voicectl.media.resample import Resampler
from voicectl.media.transports.realtime.errors import INVALID_AUDIO, MESSAGE_TOO_LARGE, ClientEventError

MAX_AUDIO_BYTES: Final = 15 * 1024 * 1024
"""Largest audio of one `input_audio_buffer.append`, decoded; the limit of the GA specification."""


def _unchanged(pcm: bytes) -> bytes:
    return pcm


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A format of the wire: its GA and beta names, its rate, and the way to and from 16-bit PCM."""

    name: str
    beta_name: str
    sample_rate: int
    bytes_per_sample: int
    to_pcm16: Callable[[bytes], bytes]
    from_pcm16: Callable[[bytes], bytes]

    def as_ga(self) -> dict[str, object]:
        """Return the GA object; only `audio/pcm` carries a rate."""
        return {"type": self.name, "rate": self.sample_rate} if self is PCM else {"type": self.name}


PCM: Final = AudioFormat("audio/pcm", "pcm16", 24_000, BYTES_PER_SAMPLE, _unchanged, _unchanged)
PCMU: Final = AudioFormat("audio/pcmu", "g711_ulaw", 8_000, 1, ulaw_to_pcm16, pcm16_to_ulaw)
PCMA: Final = AudioFormat("audio/pcma", "g711_alaw", 8_000, 1, alaw_to_pcm16, pcm16_to_alaw)
FORMATS: Final = {fmt.name: fmt for fmt in (PCM, PCMU, PCMA)}


def decode_audio(text: str, fmt: AudioFormat) -> bytes:
    """Return the base64 `text`, audio in `fmt`, as 16-bit PCM. Raises ClientEventError."""
    if len(text) > MAX_AUDIO_BYTES * 4 // 3 + 4:
        raise ClientEventError(
            MESSAGE_TOO_LARGE, f"audio of {len(text)} characters exceeds {MAX_AUDIO_BYTES} bytes", param="audio"
        )
    try:
        encoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ClientEventError(INVALID_AUDIO, f"audio is not base64: {error}", param="audio") from error
    if len(encoded) % fmt.bytes_per_sample:
        raise ClientEventError(
            INVALID_AUDIO,
            f"audio of {len(encoded)} bytes is not whole samples of {fmt.bytes_per_sample} bytes ({fmt.name})",
            param="audio",
        )
    return fmt.to_pcm16(encoded)


class AudioEncoder:
    """Turns one reply's 16-bit PCM, of any rate, into base64 pieces of a wire format."""

    def __init__(self, fmt: AudioFormat) -> None:
        self.format = fmt
        self._source_hz: int | None = None
        self._resampler: Resampler | None = None

    def push(self, pcm: bytes, sample_rate: int) -> str:
        """Return the next piece, possibly empty. The rate of a reply must not change."""
        if self._source_hz is None:
            self._source_hz = sample_rate
            if sample_rate != self.format.sample_rate:
                self._resampler = Resampler(sample_rate, self.format.sample_rate)
        elif sample_rate != self._source_hz:
            raise ValueError(f"a reply's sample rate changed from {self._source_hz} to {sample_rate} Hz")
        if self._resampler is None:
            return self._encode(pcm)
        return self._encode(float_to_pcm16(self._resampler.push(pcm16_to_float(pcm))))

    def flush(self) -> str:
        """Return what the resampler still holds, possibly empty; nothing may be pushed afterwards."""
        if self._resampler is None:
            return ""
        resampler, self._resampler = self._resampler, None
        return self._encode(float_to_pcm16(resampler.flush()))

    def _encode(self, pcm: bytes) -> str:
        return base64.b64encode(self.format.from_pcm16(pcm)).decode("ascii")
