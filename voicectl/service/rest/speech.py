"""`POST /v1/audio/speech`: speaks a text outside any call."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, field_validator

from voicectl.agent.segmenter import Segmenter
from voicectl.core.errors import EngineError
from voicectl.core.ports import Priority
from voicectl.service.gateway import Gateway
from voicectl.service.rest import sse
from voicectl.service.rest.encoders import FORMATS, SpeechFile, SpeechFormat
from voicectl.service.rest.errors import REQUEST_FAILURES
from voicectl.service.rest.work import WorkSlots, while_connected

MAX_TEXT_CHARACTERS: Final = 4096


class VoiceId(BaseModel):
    """A voice by its id."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(min_length=1, max_length=200)


class SpeechRequest(BaseModel):
    """A text to speak.

    `model` and `voice` may be any names: the profile decides which voice speaks.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    input: str = Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)
    model: str = Field(max_length=200)
    voice: Annotated[str, Field(max_length=200)] | VoiceId | None = None
    response_format: SpeechFormat = "mp3"
    speed: float = Field(default=1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: str | None = Field(default=None, description="Changes nothing.")

    @field_validator("input")
    @classmethod
    def _has_words(cls, text: str) -> str:
        if not any(character.isalnum() for character in text):
            raise ValueError("the text holds nothing to say")
        return text


def speech_routes(gateway: Gateway, slots: WorkSlots) -> APIRouter:
    """Return the route of speech."""
    router = APIRouter(tags=["audio"])
    kinds = {kind.media_type: {"schema": {"type": "string", "format": "binary"}} for kind in FORMATS.values()}

    @router.post(
        "/v1/audio/speech",
        summary="Speak a text",
        response_class=Response,
        responses={
            200: {
                "content": {**kinds, sse.MEDIA_TYPE: {}},
                "description": "The speech, sent as it is made.",
            },
            **REQUEST_FAILURES,
        },
    )
    async def speak(
        sent: SpeechRequest, request: Request, held: Annotated[AsyncExitStack, Depends(slots.slot)]
    ) -> Response:
        pieces = await held.enter_async_context(aclosing(_file(gateway, sent)))
        # What fails before the first sound still gets a status of its own.
        first = await while_connected(request, anext(pieces))
        if sent.stream_format == "sse":
            return sse.stream(_events(first, pieces))
        return StreamingResponse(_joined(first, pieces), media_type=FORMATS[sent.response_format].media_type)

    return router


async def _file(gateway: Gateway, sent: SpeechRequest) -> AsyncGenerator[bytes, None]:
    """Yield the file, clause by clause. Compressing takes milliseconds that callers' audio would wait for."""
    profile = gateway.profile
    segmenter = Segmenter(profile.tts.first_clause_words)
    file = SpeechFile(sent.response_format)
    made_sound = False
    for clause in [*segmenter.push(sent.input), *segmenter.flush()]:
        if not any(character.isalnum() for character in clause):
            continue
        chunks = gateway.synthesizer.synthesize(
            clause,
            speed=sent.speed,
            # Calls wait for nobody: their clauses go first.
            priority=Priority.SPECULATIVE,
            timeout_s=profile.timeouts.tts_s,
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                made_sound = made_sound or bool(chunk.pcm)
                if piece := await asyncio.to_thread(file.push, chunk.pcm, chunk.sample_rate):
                    yield piece
    if not made_sound:
        raise EngineError(f"the voice {profile.models.tts} made no sound of this text")
    if rest := await asyncio.to_thread(file.finish):
        yield rest


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _events(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for piece in _joined(first, rest):
        yield sse.event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
    # Nothing is counted in tokens here, and the type demands numbers.
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    yield sse.event({"type": "speech.audio.done", "usage": usage})
