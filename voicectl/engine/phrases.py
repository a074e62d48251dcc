"""Keep the speech of a few phrases for when the voice fails, and speak with what is left then."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from voicectl.core.errors import EngineError, RequestCancelled, RequestRejected
from voicectl.core.ports import Priority, SpeechChunk, Synthesizer

MAX_PHRASES: Final = 32
MAX_PHRASE_BYTES: Final = 2 * 1024 * 1024
"""Some 45 s of speech at 22 kHz; longer phrases are not kept."""
SAME_SPEED: Final = 0.01

log = structlog.get_logger(__name__)


class Speaks(Protocol):
    """A voice that needs no worker."""

    async def speak(self, text: str, *, speed: float) -> list[SpeechChunk]:
        """Return the speech of a text. Raises EngineError."""
        ...


@dataclass(frozen=True, slots=True)
class Phrase:
    """The speech of a text at one speed."""

    chunks: tuple[SpeechChunk, ...]
    speed: float


class Phrases:
    """The speech of the texts that are said while a stage fails, made while all is well."""

    def __init__(self) -> None:
        self._kept: dict[str, Phrase] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, text: str) -> Phrase | None:
        """Return the speech of a text, None if it is not kept."""
        return self._kept.get(text.strip())

    async def prepare(self, voice: Synthesizer, texts: Sequence[str], *, speed: float, timeout_s: float) -> None:
        """Have `voice` speak the texts that are not kept yet. A failure is logged: the next one may succeed."""
        stripped = dict.fromkeys(text.strip() for text in texts)
        wanted = [text for text in stripped if text and text not in self._kept]
        for text in wanted[: max(0, MAX_PHRASES - len(self._kept))]:
            try:
                speech = voice.synthesize(text, speed=speed, priority=Priority.SPECULATIVE, timeout_s=timeout_s)
                async with aclosing(speech):
                    chunks = tuple([chunk async for chunk in speech])
            except EngineError as error:
                log.warning("phrase_not_prepared", characters=len(text), reason=error.message)
                continue
            if sum(len(chunk.pcm) for chunk in chunks) <= MAX_PHRASE_BYTES:
                self._kept[text] = Phrase(chunks, speed)


class FallbackSynthesizer:
    """`core.ports.Synthesizer` that also speaks while the voice fails: kept phrases, then a simple voice."""

    def __init__(self, voice: Synthesizer, phrases: Phrases, simple: Speaks | None) -> None:
        self._voice = voice
        self._phrases = phrases
        self._simple = simple

    async def synthesize(
        self, text: str, *, speed: float = 1.0, priority: Priority = Priority.FINAL, timeout_s: float
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Stream the speech of one clause or sentence. Closing the iterator cancels the request.

        Kept phrases cost nothing and are always taken. Raises what the voice failed with when nothing
        else can speak, or when it had begun.
        """
        kept = self._phrases.get(text)
        if kept is not None and abs(kept.speed - speed) <= SAME_SPEED:
            for chunk in kept.chunks:
                yield chunk
            return
        begun = False
        try:
            speech = self._voice.synthesize(text, speed=speed, priority=priority, timeout_s=timeout_s)
            async with aclosing(speech):
                async for chunk in speech:
                    begun = True
                    yield chunk
            return
        except (RequestRejected, RequestCancelled):
            raise
        except EngineError as error:
            if begun or (kept is None and self._simple is None):
                raise
            log.warning("voice_replaced", by="phrase" if kept else "simple voice", reason=error.message)
        for chunk in kept.chunks if kept is not None else await self._speak_simply(text, speed):
            yield chunk

    async def _speak_simply(self, text: str, speed: float) -> Sequence[SpeechChunk]:
        if self._simple is None:
            raise EngineError("there is no simple voice")
        return await self._simple.speak(text, speed=speed)
