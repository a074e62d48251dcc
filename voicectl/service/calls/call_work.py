"""What a call has the engine and other systems do: each task posts what came of it. Decides nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent.composing import Expected
from voicectl.agent.inputs import AgentInput
from voicectl.core.audio import MODEL_RATE_HZ, Samples
from voicectl.core.errors import EngineError
from voicectl.core.events import SessionSettings
from voicectl.core.ports import (
    CallObserver,
    ChatRequest,
    CheckpointWriter,
    ContextSource,
    LanguageModel,
    Priority,
    Synthesizer,
    ToolRunner,
    Transcriber,
    TurnDetector,
)
from voicectl.core.profile import Profile
from voicectl.service.calls.voice import Voice

log = structlog.get_logger(__name__)

TOOL_FAILED = "The function failed."
"""What the language model is told of a function whose runner raised, which runners must not do."""


@dataclass(frozen=True, slots=True)
class CallEngine:
    """The stages a call uses."""

    transcriber: Transcriber
    turn_detector: TurnDetector
    language_model: LanguageModel
    synthesizer: Synthesizer


@dataclass(frozen=True, slots=True)
class CallServices:
    """What a call uses besides the engine; all of it may be absent.

    `on_frame_sent` is told how late each frame of a reply was sent, in seconds.
    """

    checkpoints: CheckpointWriter | None = None
    tools: ToolRunner | None = None
    context: ContextSource | None = None
    observers: tuple[CallObserver, ...] = ()
    on_frame_sent: Callable[[float], None] | None = None


@dataclass(frozen=True, slots=True)
class TurnScored:
    """The turn-end model's verdict on a pause."""

    pause_id: int
    completeness: float


class CallWork:
    """The work of one call. Every method is a task of its own; failures of stages are posted like results."""

    def __init__(
        self,
        session_id: str,
        profile: Profile,
        engine: CallEngine,
        *,
        voice: Voice,
        post: Callable[[AgentInput | TurnScored], Awaitable[None]],
        settings: Callable[[], SessionSettings],
    ) -> None:
        self._session_id = session_id
        self._profile = profile
        self._engine = engine
        self._voice = voice
        self._post = post
        self._settings = settings

    async def transcribe(self, hearing_id: int, samples: Samples, *, final: bool) -> None:
        """Transcribe a turn."""
        try:
            transcript = await self._engine.transcriber.transcribe(
                samples,
                hotwords=self._settings().hotwords or None,
                priority=Priority.FINAL if final else Priority.SPECULATIVE,
                timeout_s=self._profile.timeouts.stt_s,
            )
        except EngineError as error:
            log.warning("transcription_failed", session_id=self._session_id, error=str(error))
            await self._post(told.TurnNotTranscribed(hearing_id, str(error)))
        else:
            duration_s = len(samples) / MODEL_RATE_HZ
            await self._post(told.TurnTranscribed(hearing_id, transcript.text, duration_s, transcript.confidence))

    async def transcribe_partial(self, item_id: str, samples: Samples, *, decides: bool) -> None:
        """Transcribe speech that goes on: if there is capacity, or in any case if its words decide."""
        text: str | None = None
        try:
            transcript = await self._engine.transcriber.transcribe(
                samples,
                hotwords=self._settings().hotwords or None,
                priority=Priority.SPECULATIVE if decides else Priority.PARTIAL,
                second_look=False,
                timeout_s=self._profile.timeouts.stt_s,
            )
            text = transcript.text
        except EngineError as error:
            # Partials are the first thing to go under load; the final transcript does not need them.
            log.debug("partial_dropped", session_id=self._session_id, error=str(error))
        await self._post(told.PartialTranscribed(item_id, text))

    async def score_turn(self, pause_id: int, samples: Samples) -> None:
        """Judge whether a turn sounds complete."""
        try:
            completeness = await self._engine.turn_detector.completeness(
                samples, timeout_s=self._profile.timeouts.turn_s
            )
        except EngineError as error:
            # Without a score the pause alone decides, later.
            log.warning("turn_not_scored", session_id=self._session_id, error=str(error))
        else:
            await self._post(TurnScored(pause_id, completeness))

    async def compose(self, command: do.Compose) -> None:
        """Generate text of a reply."""
        response_id, attempt = command.response_id, command.attempt
        try:
            priority = Priority.SPECULATIVE if command.speculative else Priority.FINAL
            pieces = self._engine.language_model.generate(
                self._chat_request(command, priority), timeout_s=self._profile.timeouts.llm_s
            )
            async with aclosing(pieces):
                async for piece in pieces:
                    await self._post(
                        told.ReplyPiece(response_id, piece.text, piece.finish, piece.usage, piece.tool_calls, attempt)
                    )
        except EngineError as error:
            log.warning("reply_failed", session_id=self._session_id, stage="llm", error=str(error))
            await self._post(told.ReplyFailed(response_id, str(error), attempt))

    def _chat_request(self, command: do.Compose | Expected, priority: Priority) -> ChatRequest:
        llm = self._profile.llm
        return ChatRequest(
            session_id=self._session_id,
            messages=command.messages,
            max_tokens=command.max_tokens,
            temperature=llm.temperature,
            top_p=llm.top_p,
            top_k=llm.top_k,
            seed=llm.seed,
            priority=priority,
            tools=command.tools,
            tool_choice=command.tool_choice,
            forced_tool=command.forced_tool,
        )

    async def speak(self, command: do.Speak) -> None:
        """Synthesise a clause and queue it for playout."""
        response_id = command.response_id
        try:
            chunks = self._engine.synthesizer.synthesize(
                command.text,
                speed=self._settings().speed or 1.0,
                priority=Priority.FINAL if command.clause == 0 else Priority.SPECULATIVE,
                timeout_s=self._profile.timeouts.tts_s,
            )
            async with aclosing(chunks):
                started = False
                async for chunk in chunks:
                    await self._voice.play(response_id, command.clause, command.text, chunk)
                    if not started:
                        started = True
                        await self._post(told.ClauseStarted(response_id, command.clause))
            await self._post(told.ClauseEnded(response_id, command.clause))
        except EngineError as error:
            log.warning("reply_failed", session_id=self._session_id, stage="tts", error=str(error))
            await self._post(told.ClauseFailed(response_id, command.clause, str(error)))

    async def call_tool(self, runner: ToolRunner, command: do.CallTool) -> None:
        """Carry out a function of the gateway."""
        try:
            output = await runner.run(command.call, session_id=self._session_id)
        except Exception:  # the edge of another system: what it does must not end the call
            log.exception("tool_failed", session_id=self._session_id, tool=command.call.name)
            output = TOOL_FAILED
        await self._post(told.ToolReturned(command.response_id, command.call, output))

    async def limit_hold(self, command: do.LimitHold) -> None:
        """Wait as long as a reply may be held."""
        await asyncio.sleep(command.after_s)
        await self._post(told.HoldLasted(command.response_id, command.number))

    async def remind(self, command: do.Remind) -> None:
        """Wait a while."""
        await asyncio.sleep(command.after_s)
        await self._post(told.Reminded(command.response_id))

    async def fetch_context(self, source: ContextSource, attributes: dict[str, str]) -> None:
        """Ask other systems what is known about the caller."""
        try:
            async with asyncio.timeout(self._profile.integrations.context.timeout_s):
                text = await source.context(self._session_id, attributes)
        except TimeoutError:
            log.warning("context_too_late", session_id=self._session_id)
        except Exception:  # the edge of another system: what it does must not end the call
            log.exception("context_failed", session_id=self._session_id)
        else:
            if text:
                await self._post(told.ContextKnown(text))

    async def wake(self, expected: Expected) -> None:
        """Have the language model get ready for the next turn, while the caller still speaks."""
        try:
            await self._engine.language_model.wake(self._chat_request(expected, Priority.PARTIAL))
        except EngineError as error:
            log.debug("session_not_woken", session_id=self._session_id, error=str(error))

    async def forget(self) -> None:
        """Have the language model forget the conversation."""
        try:
            await self._engine.language_model.forget(self._session_id)
        except EngineError as error:
            log.debug("session_not_forgotten", session_id=self._session_id, error=str(error))
