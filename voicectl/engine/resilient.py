"""The engine's four ports over the routes of their stages: nobody sees a worker die if another answers in time."""

import contextlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from voicectl.core.audio import Samples
from voicectl.core.errors import EngineError, WorkerDied
from voicectl.core.ports import (
    ChatRequest,
    LanguageModel,
    Priority,
    SpeechChunk,
    Synthesizer,
    TextDelta,
    Transcriber,
    Transcript,
    TurnDetector,
)
from voicectl.engine.resuming import ResumedSpeech, ResumedText
from voicectl.engine.routes import Route, StageRoutes


class ResilientTranscriber:
    """`core.ports.Transcriber` on the routes of the stt stage."""

    def __init__(self, routes: StageRoutes[Transcriber]) -> None:
        self._routes = routes

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
        return await self._routes.call(
            lambda port, left_s: port.transcribe(
                samples, hotwords=hotwords, priority=priority, second_look=second_look, timeout_s=left_s
            ),
            timeout_s=timeout_s,
            counts=priority is not Priority.PARTIAL,
        )


class ResilientTurnDetector:
    """`core.ports.TurnDetector` on the routes of the turn stage."""

    def __init__(self, routes: StageRoutes[TurnDetector]) -> None:
        self._routes = routes

    async def completeness(self, samples: Samples, *, timeout_s: float) -> float:
        """Return the probability in [0, 1] that the turn that ends with `samples` (16 kHz mono) is complete."""
        return await self._routes.call(
            lambda port, left_s: port.completeness(samples, timeout_s=left_s), timeout_s=timeout_s
        )


class ResilientLanguageModel:
    """`core.ports.LanguageModel` on the routes of the llm stage."""

    def __init__(self, routes: StageRoutes[LanguageModel]) -> None:
        self._routes = routes

    async def generate(self, request: ChatRequest, *, timeout_s: float) -> AsyncGenerator[TextDelta, None]:
        """Stream a reply. Closing the iterator, or cancelling its task, cancels the request.

        When the worker dies midway, the reply is asked for again and goes on where it was; ReplyDiverged is
        raised when it cannot, because the second one says something else. A request of priority PARTIAL,
        which no caller waits for, counts neither as load nor for a breaker.
        """
        routes, text = self._routes, ResumedText()
        counts = request.priority is not Priority.PARTIAL
        deadline_at, attempt = routes.deadline_at(timeout_s), 0
        avoid: Route[LanguageModel] | None = None
        last: Route[LanguageModel] | None = None
        with routes.gauge.request() if counts else contextlib.nullcontext() as opened:
            while True:
                attempt += 1
                if text.begun and last is not None:
                    # Another model would not go on with the words of this one.
                    trial = routes.resume(attempt, last)
                else:
                    trial = routes.begin(attempt, counts=counts, avoid=avoid)
                last = trial.route
                text.restart()
                try:
                    with trial:
                        pieces = last.port.generate(request, timeout_s=routes.remaining_s(deadline_at))
                        async with aclosing(pieces):
                            async for piece in pieces:
                                if (fresh := text.take(piece)) is not None:
                                    trial.answer()
                                    if opened is not None:
                                        opened.answer()
                                    yield fresh
                    return
                except EngineError as error:
                    died = isinstance(error, WorkerDied)
                    if (text.begun and not died) or not routes.may_retry(error, attempt, deadline_at):
                        raise
                    avoid = None if died else last

    async def forget(self, session_id: str) -> None:
        """Free what is cached for a session. Unknown sessions are ignored."""
        for route in self._routes.routes:
            await route.port.forget(session_id)

    async def wake(self, request: ChatRequest) -> None:
        """Tell that a session will soon ask, with a prompt that begins as this one does. Never raises."""
        # Not a request of its own: it neither probes a breaker nor is it tried again.
        with contextlib.suppress(EngineError):
            await self._routes.preferred().port.wake(request)


class ResilientSynthesizer:
    """`core.ports.Synthesizer` on the routes of the tts stage."""

    def __init__(self, routes: StageRoutes[Synthesizer]) -> None:
        self._routes = routes

    async def synthesize(
        self, text: str, *, speed: float = 1.0, priority: Priority = Priority.FINAL, timeout_s: float
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Stream the speech of one clause or sentence. Closing the iterator cancels the request.

        When the worker dies midway, the clause is spoken again from the word that was in progress.
        """
        routes, speech = self._routes, ResumedSpeech()
        deadline_at, attempt = routes.deadline_at(timeout_s), 0
        avoid: Route[Synthesizer] | None = None
        with routes.gauge.request() as opened:
            while True:
                attempt += 1
                trial = routes.begin(attempt, avoid=avoid)
                speech.restart()
                try:
                    with trial:
                        left_s = routes.remaining_s(deadline_at)
                        chunks = trial.route.port.synthesize(text, speed=speed, priority=priority, timeout_s=left_s)
                        async with aclosing(chunks):
                            async for chunk in chunks:
                                if (fresh := speech.take(chunk)) is not None:
                                    trial.answer()
                                    if opened is not None:
                                        opened.answer()
                                    yield fresh
                    return
                except EngineError as error:
                    if not routes.may_retry(error, attempt, deadline_at):
                        raise
                    avoid = None if isinstance(error, WorkerDied) else trial.route
