"""Speak with the program espeak-ng while the voice fails. Knows its arguments and its output, not when it is needed."""

import asyncio
import re
import shutil
import struct
from collections.abc import Iterator
from typing import Final

from voicectl.core.audio import BYTES_PER_SAMPLE, duration_s
from voicectl.core.errors import ConfigError, EngineError, RequestRejected
from voicectl.core.ports import SpeechChunk, WordMark

WORDS_A_MINUTE: Final = 165
"""Its rate at speed 1; it accepts 80 to 450."""
MAX_TEXT_CHARS: Final = 2_000
MAX_OUTPUT_BYTES: Final = 8 * 1024 * 1024
MAX_AT_ONCE: Final = 4
CHUNK_S: Final = 0.4
_RIFF: Final = struct.Struct("<4sI4s")
_CHUNK: Final = struct.Struct("<4sI")
_FORMAT: Final = struct.Struct("<HHIIHH")


class SimpleVoice:
    """Runs the program once a text: fixed arguments, the text on stdin, bounded in time and output."""

    def __init__(self, program: str, *, language: str, timeout_s: float) -> None:
        """Raises ConfigError when there is no such program."""
        path = shutil.which(program)
        if path is None:
            raise ConfigError(
                f"fallback.voice: there is no program {program!r}",
                hint="install the package espeak-ng, or set fallback.voice to null",
            )
        self._path = path
        self._language = language
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(MAX_AT_ONCE)

    async def speak(self, text: str, *, speed: float) -> list[SpeechChunk]:
        """Return the speech of a text. Raises EngineError when the program fails or takes too long."""
        if len(text) > MAX_TEXT_CHARS:
            raise RequestRejected(f"the text has {len(text)} characters, the simple voice speaks {MAX_TEXT_CHARS}")
        words_a_minute = min(450, max(80, round(WORDS_A_MINUTE * speed)))
        arguments = ("--stdin", "--stdout", "-v", self._language, "-s", str(words_a_minute))
        try:
            async with asyncio.timeout(self._timeout_s), self._places:
                output = await self._run(arguments, text.encode())
        except TimeoutError:
            raise EngineError(f"{self._path} did not speak within {self._timeout_s:.1f} s") from None
        except OSError as error:
            raise EngineError(f"{self._path} cannot be run: {error}") from error
        pcm, sample_rate = read_wav(output)
        return list(chunks_of(text, pcm, sample_rate))

    async def _run(self, arguments: tuple[str, ...], text: bytes) -> bytes:
        process = await asyncio.create_subprocess_exec(
            self._path,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"LC_ALL": "C.UTF-8"},
        )
        if process.stdin is None or process.stdout is None:
            raise EngineError(f"{self._path} has no pipes")
        try:
            process.stdin.write(text)
            process.stdin.close()
            output = bytearray()
            while piece := await process.stdout.read(65_536):
                output += piece
                if len(output) > MAX_OUTPUT_BYTES:
                    raise EngineError(f"{self._path} wrote more than {MAX_OUTPUT_BYTES} bytes for {len(text)} of text")
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if status != 0:
            raise EngineError(f"{self._path} ended with status {status}")
        return bytes(output)


def read_wav(document: bytes) -> tuple[bytes, int]:
    """Return PCM and rate of 16-bit mono WAV whose lengths may be unknown, as in a pipe. Raises EngineError."""
    try:
        riff, _, kind = _RIFF.unpack_from(document)
        if (riff, kind) != (b"RIFF", b"WAVE"):
            raise EngineError("the simple voice wrote no WAV")
        position, sample_rate = _RIFF.size, 0
        while True:
            name, size = _CHUNK.unpack_from(document, position)
            position += _CHUNK.size
            if name == b"data":
                break
            if name == b"fmt ":
                coding, channels, sample_rate, _, _, bits = _FORMAT.unpack_from(document, position)
                if (coding, channels, bits) != (1, 1, 16):
                    raise EngineError(f"the simple voice wrote coding {coding}, {channels} channels, {bits} bits")
            position += size + size % 2
    except struct.error:
        raise EngineError(f"the simple voice wrote {len(document)} bytes without sound") from None
    pcm = document[position : position + size]
    pcm = pcm[: len(pcm) // BYTES_PER_SAMPLE * BYTES_PER_SAMPLE]
    if not pcm or sample_rate <= 0:
        raise EngineError("the simple voice made no sound")
    return pcm, sample_rate


def chunks_of(text: str, pcm: bytes, sample_rate: int) -> Iterator[SpeechChunk]:
    """Yield speech in pieces; the words' places are estimated from their lengths."""
    marks = spread_marks(text, duration_s(pcm, sample_rate))
    step = round(CHUNK_S * sample_rate) * BYTES_PER_SAMPLE
    for start in range(0, len(pcm), step):
        piece = pcm[start : start + step]
        from_s = duration_s(pcm[:start], sample_rate)
        to_s = from_s + duration_s(piece, sample_rate)
        yield SpeechChunk(piece, sample_rate, tuple(mark for mark in marks if from_s <= mark.start_s < to_s))


def spread_marks(text: str, seconds: float) -> list[WordMark]:
    """Return where each word would be heard if every character took the same time."""
    scale = seconds / max(1, len(text))
    return [
        WordMark(word.start(), word.end(), word.start() * scale, word.end() * scale)
        for word in re.finditer(r"\S+", text)
    ]
