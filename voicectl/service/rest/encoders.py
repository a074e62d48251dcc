"""Turn 16-bit mono speech, as it comes, into a file of some format. Knows no text and no engine."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import av
import numpy as np
from av.audio.stream import AudioStream

from voicectl.core.audio import float_to_pcm16, pcm16_to_float
from voicectl.media.resample import Resampler

SpeechFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
RATE_HZ: Final = 24_000
"""The rate of every answer, as clients of this interface expect raw PCM to have."""
_UNKNOWN_SIZE: Final = 0xFFFF_FFFF
_BARE_MP3: Final = {"write_xing": "0", "id3v2_version": "0"}
"""No header with the length, which is not known when it is sent, and no tags."""


class Encoder(Protocol):
    """Takes PCM at `RATE_HZ`, gives bytes of the file."""

    def push(self, pcm: bytes) -> bytes:
        """Return what of the file is ready once `pcm` joined it."""
        ...

    def finish(self) -> bytes:
        """Return the rest of the file."""
        ...


class RawEncoder:
    """The samples themselves."""

    def push(self, pcm: bytes) -> bytes:
        """Return `pcm`."""
        return pcm

    def finish(self) -> bytes:
        """Return nothing."""
        return b""


class WavEncoder:
    """A WAV file whose header leaves its length open, because it is sent before the length is known."""

    def __init__(self) -> None:
        self._begun = False

    def push(self, pcm: bytes) -> bytes:
        """Return `pcm`, the first time behind the header."""
        header = b"" if self._begun else _wav_header()
        self._begun = True
        return header + pcm

    def finish(self) -> bytes:
        """Return the header if there was no sound at all."""
        return self.push(b"")


class _Sink:
    """A file that can only be written to, and emptied."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, piece: bytes) -> int:
        self._written += piece
        return len(piece)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


class CompressedEncoder:
    """A file made by one of FFmpeg's encoders."""

    def __init__(self, container: str, codec: str, options: Mapping[str, str] | None = None) -> None:
        self._sink = _Sink()
        self._output = av.open(self._sink, "w", format=container, options=dict(options or {}))
        stream = self._output.add_stream(codec, rate=RATE_HZ, layout="mono")
        if not isinstance(stream, AudioStream):
            raise ValueError(f"{codec} is no codec for sound")
        self._stream: AudioStream = stream
        self._position = 0

    def push(self, pcm: bytes) -> bytes:
        """Return what the encoder and the container give out so far."""
        if pcm:
            samples = np.frombuffer(pcm, dtype="<i2")[None]
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate = RATE_HZ
            frame.pts = self._position
            self._position += samples.shape[1]
            self._output.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        """Return what was held back, and the end of the file."""
        self._output.mux(self._stream.encode(None))
        self._output.close()
        return self._sink.take()


@dataclass(frozen=True, slots=True)
class FormatOfFile:
    """How a format is named in HTTP, and who writes it."""

    media_type: str
    encoder: Callable[[], Encoder]


FORMATS: Final[dict[SpeechFormat, FormatOfFile]] = {
    "mp3": FormatOfFile("audio/mpeg", lambda: CompressedEncoder("mp3", "libmp3lame", _BARE_MP3)),
    "opus": FormatOfFile("audio/ogg", lambda: CompressedEncoder("ogg", "libopus")),
    "aac": FormatOfFile("audio/aac", lambda: CompressedEncoder("adts", "aac")),
    "flac": FormatOfFile("audio/flac", lambda: CompressedEncoder("flac", "flac")),
    "wav": FormatOfFile("audio/wav", WavEncoder),
    "pcm": FormatOfFile("audio/pcm", RawEncoder),
}


class SpeechFile:
    """A file of speech while it grows: any rate in, the answer's rate out."""

    def __init__(self, wanted: SpeechFormat) -> None:
        self._encoder = FORMATS[wanted].encoder()
        self._resampler: Resampler | None = None

    def push(self, pcm: bytes, sample_rate: int) -> bytes:
        """Return what of the file is ready once 16-bit mono `pcm` joined it."""
        if self._resampler is None or self._resampler.source_hz != sample_rate:
            before = self._flushed()
            self._resampler = Resampler(sample_rate, RATE_HZ)
        else:
            before = b""
        return self._encoder.push(before + float_to_pcm16(self._resampler.push(pcm16_to_float(pcm))))

    def finish(self) -> bytes:
        """Return the rest of the file."""
        return self._encoder.push(self._flushed()) + self._encoder.finish()

    def _flushed(self) -> bytes:
        return b"" if self._resampler is None else float_to_pcm16(self._resampler.flush())


def _wav_header() -> bytes:
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", _UNKNOWN_SIZE, b"WAVE", b"fmt ", 16, 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16, b"data", _UNKNOWN_SIZE),
    )
