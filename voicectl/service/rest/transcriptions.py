"""`POST /v1/audio/transcriptions`: writes down what an uploaded recording says."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel

from voicectl.core.audio import MODEL_RATE_HZ, Samples
from voicectl.core.errors import AudioInputError
from voicectl.core.ports import Priority, Transcript
from voicectl.engine.stt.windows import pieces
from voicectl.media.audiofile import read_speech
from voicectl.media.resample import resample
from voicectl.service.gateway import Gateway
from voicectl.service.http.problem import invalid
from voicectl.service.rest import sse
from voicectl.service.rest.errors import REQUEST_FAILURES
from voicectl.service.rest.work import WorkSlots, while_connected

ResponseFormat = Literal["json", "text", "verbose_json"]
DECODES: Final = 1
"""Recordings that are decoded at a time: a small file may hold hundreds of megabytes of samples."""
MAX_HOTWORDS_CHARACTERS: Final = 1000
_UNSUPPORTED: Final = "unsupported_parameter"
_FIELDS: Final = frozenset(
    {
        *("file", "model", "language", "prompt", "response_format", "stream", "temperature"),
        *("timestamp_granularities[]", "include[]", "chunking_strategy", "keywords[]"),
    }
)


class DurationUsage(BaseModel):
    """What a transcription cost: the length of the audio."""

    type: Literal["duration"] = "duration"
    seconds: float


class Transcription(BaseModel):
    """What was said; empty when there was no speech."""

    text: str
    usage: DurationUsage


class Segment(BaseModel):
    """What was said in one piece of the recording, seconds from its start."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int] = []
    temperature: float = 0.0
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class VerboseTranscription(Transcription):
    """What was said, and where."""

    task: Literal["transcribe"] = "transcribe"
    language: str
    duration: float
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class Heard:
    """The transcript of one piece, and where it lies, seconds."""

    transcript: Transcript
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Recording:
    """What is to be written down: 16 kHz mono samples, and words to expect."""

    samples: Samples
    hotwords: str | None

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return round(len(self.samples) / MODEL_RATE_HZ, 3)


def transcription_routes(gateway: Gateway, slots: WorkSlots) -> APIRouter:
    """Return the route of transcriptions."""
    router = APIRouter(tags=["audio"])
    decoding = asyncio.Semaphore(DECODES)

    @router.post(
        "/v1/audio/transcriptions",
        summary="Write down a recording",
        response_model=Transcription | VerboseTranscription,
        responses={
            200: {
                "content": {
                    "text/plain": {"schema": {"type": "string"}},
                    sse.MEDIA_TYPE: {},
                },
                "description": "The words.",
            },
            **REQUEST_FAILURES,
        },
    )
    async def transcribe(  # called by name, never by position
        request: Request,
        held: Annotated[AsyncExitStack, Depends(slots.slot)],
        file: Annotated[UploadFile, File(description="WAV, FLAC, Ogg, MP3 or M4A.")],
        model: Annotated[str, Form(max_length=200, description="Any name: the profile decides.")],
        language: Annotated[str | None, Form(max_length=35, description="Must be the profile's, or absent.")] = None,
        prompt: Annotated[str | None, Form(max_length=MAX_HOTWORDS_CHARACTERS, description="Words to expect.")] = None,
        response_format: Annotated[ResponseFormat, Form()] = "json",
        stream: Annotated[bool, Form()] = False,
        temperature: Annotated[float, Form(ge=0, le=1, description="Changes nothing.")] = 0.0,
    ) -> Response:
        _refuse_unknown(set(await request.form()))
        _refuse_language(language, gateway.profile.stt.language)
        async with decoding:
            samples = await while_connected(request, asyncio.to_thread(_decoded, file, gateway))
        recording = Recording(samples, prompt or gateway.profile.stt.hotwords)
        heard = await held.enter_async_context(aclosing(_heard(gateway, recording)))
        if stream:
            return sse.stream(_events(heard, recording))
        spoken = await while_connected(request, _all(heard))
        return _answer(spoken, recording, response_format, gateway.profile.stt.language)

    return router


def _refuse_unknown(fields: set[str]) -> None:
    unknown = sorted(fields - _FIELDS)
    if unknown:
        raise invalid("unknown_parameter", f"{unknown[0][:80]!r} is not known", param=unknown[0][:80])


def _refuse_language(wanted: str | None, spoken: str) -> None:
    if wanted and wanted.lower().split("-")[0] != spoken:
        message = f"this gateway transcribes {spoken!r}, not {wanted!r}"
        raise invalid(_UNSUPPORTED, message, param="language")


def _decoded(upload: UploadFile, gateway: Gateway) -> Samples:
    """Return an upload at the models' rate. Raises Problem. For a thread: it takes up to seconds."""
    server = gateway.profile.server
    with tempfile.NamedTemporaryFile(prefix="voicectl-upload-") as copy:
        shutil.copyfileobj(upload.file, copy)
        copy.flush()
        try:
            samples, rate = read_speech(
                Path(copy.name), max_bytes=server.max_upload_bytes, max_s=server.max_recording_s
            )
        except AudioInputError as error:
            raise invalid("invalid_audio", f"the recording {error.reason}", param="file") from error
    return resample(samples, rate, MODEL_RATE_HZ)


async def _heard(gateway: Gateway, recording: Recording) -> AsyncGenerator[Heard, None]:
    """Yield the transcripts of pieces that fit the model, in order."""
    position = 0
    for piece in pieces(recording.samples):
        transcript = await gateway.transcriber.transcribe(
            piece,
            hotwords=recording.hotwords,
            # Calls wait for nobody: their turns go first.
            priority=Priority.SPECULATIVE,
            timeout_s=gateway.profile.timeouts.stt_s,
        )
        start_s, position = position / MODEL_RATE_HZ, position + len(piece)
        yield Heard(transcript, round(start_s, 3), round(position / MODEL_RATE_HZ, 3))


async def _all(heard: AsyncIterator[Heard]) -> list[Heard]:
    return [piece async for piece in heard if piece.transcript.text]


def _answer(spoken: list[Heard], recording: Recording, wanted: ResponseFormat, language: str) -> Response:
    text = " ".join(piece.transcript.text for piece in spoken)
    usage = DurationUsage(seconds=recording.duration_s)
    match wanted:
        case "text":
            return PlainTextResponse(text + "\n")
        case "json":
            return JSONResponse(Transcription(text=text, usage=usage).model_dump())
        case "verbose_json":
            verbose = VerboseTranscription(
                text=text,
                usage=usage,
                language=language,
                duration=recording.duration_s,
                segments=[_segment(index, piece) for index, piece in enumerate(spoken)],
            )
            return JSONResponse(verbose.model_dump())


def _segment(index: int, heard: Heard) -> Segment:
    transcript = heard.transcript
    return Segment(
        id=index,
        seek=round(heard.start_s * 100),
        start=heard.start_s,
        end=heard.end_s,
        text=transcript.text,
        avg_logprob=transcript.avg_logprob,
        compression_ratio=transcript.compression_ratio,
        no_speech_prob=transcript.no_speech_prob,
    )


async def _events(heard: AsyncIterator[Heard], recording: Recording) -> AsyncIterator[bytes]:
    text = ""
    async for piece in heard:
        if not piece.transcript.text:
            continue
        delta = (" " if text else "") + piece.transcript.text
        text += delta
        yield sse.event({"type": "transcript.text.delta", "delta": delta})
    # The usage of this event is counted in tokens, which are not known: it is left out.
    yield sse.event({"type": "transcript.text.done", "text": text})
