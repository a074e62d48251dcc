"""The engine's four ports over worker clients: core values in and out, wire messages in between."""

import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, TypeVar

from voicectl.core.audio import Samples, float_to_pcm16
from voicectl.core.errors import EngineError
from voicectl.core.events import TokenUsage, ToolCall
from voicectl.core.ports import ChatRequest, Message, Priority, SpeechChunk, TextDelta, Transcript, WordMark
from voicectl.engine.client import WorkerClient
from voicectl.engine.messages import (
    Forget,
    Forgotten,
    Generate,
    GenerationEnded,
    PromptMessage,
    ReplyBody,
    Scored,
    ScoreTurn,
    SpeechEnded,
    SpeechPiece,
    Synthesize,
    TextPiece,
    Transcribe,
    Transcribed,
    Wake,
    WireTool,
    WireToolCall,
)

FORGET_TIMEOUT_S: Final = 2.0
WAKE_TIMEOUT_S: Final = 10.0
"""How long an expected prompt may take: callers seldom speak for longer before they want an answer."""

T = TypeVar("T", bound=ReplyBody)


class EngineTranscriber:
    """`core.ports.Transcriber` on a worker."""

    def __init__(self, client: WorkerClient) -> None:
        self._client = client

    async def transcribe(
        self,
        samples: Samples,
        *,
        hotwords: str | None = None,
        priority: Priority = Priority.FINAL,
        second_look: bool = True,
        timeout_s: float,
    ) -> Transcript:
        """Transcribe 16 kHz mono float samples, shape (n,). Cancelling the call cancels the request."""
        body = Transcribe(float_to_pcm16(samples), hotwords, second_look)
        reply = _expect(Transcribed, await self._client.call(body, priority=priority, timeout_s=timeout_s))
        return Transcript(
            text=reply.text,
            avg_logprob=reply.avg_logprob,
            no_speech_prob=reply.no_speech_prob,
            compression_ratio=reply.compression_ratio,
            window_frames=reply.window_frames,
        )


class EngineTurnDetector:
    """`core.ports.TurnDetector` on a worker."""

    def __init__(self, client: WorkerClient) -> None:
        self._client = client

    async def completeness(self, samples: Samples, *, timeout_s: float) -> float:
        """Return the probability in [0, 1] that the turn that ends with `samples` (16 kHz mono) is complete."""
        reply = await self._client.call(ScoreTurn(float_to_pcm16(samples)), timeout_s=timeout_s)
        return _expect(Scored, reply).probability


class EngineLanguageModel:
    """`core.ports.LanguageModel` on a worker."""

    def __init__(self, client: WorkerClient) -> None:
        self._client = client

    async def generate(self, request: ChatRequest, *, timeout_s: float) -> AsyncGenerator[TextDelta, None]:
        """Stream a reply. Closing the iterator, or cancelling its task, cancels the request."""
        body = _generate(request)
        async with aclosing(self._client.stream(body, priority=request.priority, timeout_s=timeout_s)) as replies:
            async for reply in replies:
                yield _text_delta(reply)

    async def forget(self, session_id: str) -> None:
        """Free what is cached for a session. Unknown sessions are ignored."""
        # A worker that is not ready holds nothing that could be forgotten.
        if self._client.ready:
            _expect(Forgotten, await self._client.call(Forget(session_id), timeout_s=FORGET_TIMEOUT_S))

    async def wake(self, request: ChatRequest) -> None:
        """Tell that a session will soon ask, with a prompt that begins as this one does. Never raises."""
        if self._client.ready:
            with contextlib.suppress(EngineError):
                await self._client.call(Wake(_generate(request)), timeout_s=WAKE_TIMEOUT_S)


class EngineSynthesizer:
    """`core.ports.Synthesizer` on a worker."""

    def __init__(self, client: WorkerClient) -> None:
        self._client = client

    async def synthesize(
        self, text: str, *, speed: float = 1.0, priority: Priority = Priority.FINAL, timeout_s: float
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Stream the speech of one clause or sentence. Closing the iterator cancels the request."""
        body = Synthesize(text, speed)
        async with aclosing(self._client.stream(body, priority=priority, timeout_s=timeout_s)) as replies:
            async for reply in replies:
                if isinstance(reply, SpeechEnded):
                    return
                piece = _expect(SpeechPiece, reply)
                marks = tuple(WordMark(mark.start, mark.end, mark.start_s, mark.end_s) for mark in piece.marks)
                yield SpeechChunk(piece.pcm, piece.sample_rate, marks)


def _generate(request: ChatRequest) -> Generate:
    return Generate(
        session_id=request.session_id,
        messages=tuple(_prompt_message(message) for message in request.messages),
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        seed=request.seed,
        tools=tuple(WireTool(tool.name, tool.description, tool.parameters) for tool in request.tools),
        tool_choice=request.tool_choice,
        forced_tool=request.forced_tool,
        schema=request.schema,
    )


def _text_delta(reply: ReplyBody) -> TextDelta:
    if isinstance(reply, TextPiece):
        return TextDelta(reply.text)
    ended = _expect(GenerationEnded, reply)
    usage = TokenUsage(ended.prompt_tokens, ended.cached_tokens, ended.completion_tokens)
    calls = tuple(ToolCall(call.call_id, call.name, call.arguments) for call in ended.tool_calls)
    return TextDelta("", ended.finish, usage, calls)


def _prompt_message(message: Message) -> PromptMessage:
    calls = tuple(WireToolCall(call.call_id, call.name, call.arguments) for call in message.tool_calls)
    return PromptMessage(message.role, message.content, calls, message.call_id)


def _expect(kind: type[T], reply: ReplyBody) -> T:
    if not isinstance(reply, kind):
        raise EngineError(f"the worker answered with {type(reply).__name__}, expected was {kind.__name__}")
    return reply
