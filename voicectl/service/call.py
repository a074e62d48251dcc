"""One call across the planes: carries out what the agent session decides. Decides nothing about turns."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import structlog

from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent.session import Session, SessionInput
from voicectl.core import events as ev
from voicectl.core.audio import MODEL_RATE_HZ, Samples
from voicectl.core.clock import Clock
from voicectl.core.errors import EngineError
from voicectl.core.ports import (
    ChatRequest,
    LanguageModel,
    Priority,
    Synthesizer,
    Transcriber,
    TurnDetector,
)
from voicectl.core.profile import Profile
from voicectl.media import endpointing
from voicectl.media.endpointing import Decision, Evidence
from voicectl.media.listening import Listener
from voicectl.service.voice import Voice

log = structlog.get_logger(__name__)

Emit = Callable[[ev.CallEvent], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class CallEngine:
    """The stages a call uses."""

    transcriber: Transcriber
    turn_detector: TurnDetector
    language_model: LanguageModel
    synthesizer: Synthesizer


@dataclass(frozen=True, slots=True)
class _TurnScored:
    """The turn-end model's verdict on a pause."""

    pause_id: int
    completeness: float


class Call:
    """One conversation. A single task owns all state and reads one queue; helpers only post to it."""

    def __init__(self, session_id: str, profile: Profile, engine: CallEngine, listener: Listener, clock: Clock) -> None:
        self.session_id = session_id
        self._profile = profile
        self._engine = engine
        self._listener = listener
        self._clock = clock
        self._started_at = clock.now()
        self._session = Session(profile, lambda kind: f"{kind}_{secrets.token_hex(8)}")
        self._voice = Voice(profile.playout.lead_ms, clock, self._send, self._post, self._spawn)
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._emit: Emit | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._hearings: dict[int, asyncio.Task[None]] = {}
        self._pauses: dict[int, int] = {}
        self._pause_id: int | None = None
        self._composing: dict[str, asyncio.Task[None]] = {}
        self._speaking: dict[str, asyncio.Task[None]] = {}
        self._last_audio_at = 0.0

    async def run(self, actions: asyncio.Queue[Any], emit: Emit) -> None:
        """Serve the call until `CallerLeft`. Results of the engine join `actions`."""
        self._inbox = actions
        self._emit = emit
        log.info("call_started", session_id=self.session_id)
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await self._serve()
                self._cancel_work()
        finally:
            await self._forget()
            log.info("call_ended", session_id=self.session_id, seconds=round(self._now(), 3))

    async def _serve(self) -> None:
        while True:
            entry = await self._inbox.get()
            await self._take(entry)
            if isinstance(entry, ev.CallerLeft):
                return

    async def _take(self, entry: Any) -> None:
        """Handle one entry of the queue."""
        match entry:
            case ev.AudioReceived():
                await self._hear_audio(entry)
            case _TurnScored(pause_id, completeness):
                await self._weigh(Evidence(pause_id, completeness, None))
            case ev.AudioCommitRequested():
                await self._commit_audio(entry)
            case ev.AudioClearRequested():
                self._listener.clear()
                await self._step(entry)
            case ev.ItemTruncateRequested(item_id, audio_end_ms, event_id):
                text = self._voice.heard_text(item_id, audio_end_ms / 1000)
                await self._step(told.ItemHeardUpTo(item_id, audio_end_ms, text, event_id))
            case ev.SessionConfigured():
                await self._step(entry)
                self._configure_listener()
            case told.TurnTranscribed(hearing_id, text):
                await self._step(entry)
                if hearing_id in self._pauses:
                    await self._weigh(Evidence(self._pauses.pop(hearing_id), None, text))
            case _:
                await self._step(entry)

    # --- listening -------------------------------------------------------------------------------

    async def _hear_audio(self, audio: ev.AudioReceived) -> None:
        self._last_audio_at = audio.received_at - self._started_at
        for decision in self._listener.push(audio.pcm, audio.sample_rate):
            await self._follow(decision)
        if self._listener.speaking:
            await self._step(told.CallerSpeaking(self._listener.speech_seconds()))

    async def _weigh(self, evidence: Evidence) -> None:
        for decision in self._listener.weigh(evidence):
            await self._follow(decision)

    async def _follow(self, decision: Decision) -> None:
        """Tell the session what endpointing decided."""
        match decision:
            case endpointing.SpeechBegan(position_s):
                await self._step(told.CallerBegan(position_s))
            case endpointing.Hesitated(pause_id):
                self._pause_id = pause_id
                await self._step(told.CallerHesitated(pause_id))
            case endpointing.Resumed(pause_id):
                await self._step(told.CallerResumed(pause_id))
            case endpointing.TurnEnded(speech_end_s, _, reason):
                await self._step(told.CallerFinished(speech_end_s, self._arrival_of(speech_end_s), reason))
            case endpointing.Discarded():
                await self._step(told.CallerWasNoise())

    def _arrival_of(self, position_s: float) -> float:
        """Return the instant at which the audio at `position_s` of the input came in."""
        return self._last_audio_at - (self._listener.position_s - position_s)

    async def _commit_audio(self, action: ev.AudioCommitRequested) -> None:
        """End the turn because the client says so."""
        if self._listener.buffered_seconds() < 0.1:
            message = "the input audio buffer holds less than 100 ms: append audio before committing"
            await self._send(ev.ActionRejected("input_audio_buffer_commit_empty", message, action.event_id))
            return
        position_s = self._listener.position_s
        await self._step(told.CallerFinished(position_s, self._now(), "client"))

    def _configure_listener(self) -> None:
        settings = self._session.settings
        self._listener.configure(
            silence_ms=settings.silence_ms if settings.endpointing == "silence" else None,
            start_threshold=settings.vad_threshold,
            patience=settings.patience or 1.0,
            endpointing=settings.endpointing != "off",
        )

    # --- carrying out ----------------------------------------------------------------------------

    async def _step(self, event: SessionInput) -> None:
        for command in self._session.step(event, self._now()):
            await self._carry_out(command)

    async def _carry_out(self, command: do.Command) -> None:
        match command:
            case do.Emit(event):
                await self._send(event)
            case do.Hear(hearing_id, final):
                self._hear_turn(hearing_id, final=final)
            case do.HearPartial(item_id):
                self._spawn(self._transcribe_partial(item_id))
            case do.StopHearing(hearing_id):
                self._pauses.pop(hearing_id, None)
                _cancel(self._hearings.pop(hearing_id, None))
            case do.EndTurn():
                self._listener.reset_turn()
            case do.Compose(response_id):
                self._composing[response_id] = self._spawn(self._compose(command))
            case do.Speak(response_id):
                self._speaking[response_id] = self._spawn(self._speak(command))
            case do.Release(response_id, item_id):
                self._voice.release(response_id, item_id)
            case do.FinishPlayout(response_id):
                self._spawn(self._voice.finish(response_id))
            case do.StopPlayout(response_id):
                heard_text, heard_s = self._voice.stop(response_id)
                await self._step(told.PlayoutStopped(response_id, heard_text, round(heard_s * 1000)))
            case do.Abandon(response_id):
                _cancel(self._composing.pop(response_id, None))
                _cancel(self._speaking.pop(response_id, None))
                self._voice.drop(response_id)

    def _hear_turn(self, hearing_id: int, *, final: bool) -> None:
        samples = self._listener.turn_audio()
        if not final and self._pause_id is not None:
            self._pauses[hearing_id] = self._pause_id
            self._spawn(self._score_turn(self._pause_id, samples))
        self._hearings[hearing_id] = self._spawn(self._transcribe(hearing_id, samples, final=final))

    async def _transcribe(self, hearing_id: int, samples: Samples, *, final: bool) -> None:
        priority = Priority.FINAL if final else Priority.SPECULATIVE
        try:
            transcript = await self._engine.transcriber.transcribe(
                samples,
                hotwords=self._session.settings.hotwords or None,
                priority=priority,
                timeout_s=self._profile.timeouts.stt_s,
            )
        except EngineError as error:
            log.warning("transcription_failed", session_id=self.session_id, error=str(error))
            await self._post(told.TurnNotTranscribed(hearing_id, str(error)))
        else:
            duration_s = len(samples) / MODEL_RATE_HZ
            await self._post(told.TurnTranscribed(hearing_id, transcript.text, duration_s))
        finally:
            self._hearings.pop(hearing_id, None)

    async def _transcribe_partial(self, item_id: str) -> None:
        text: str | None = None
        try:
            transcript = await self._engine.transcriber.transcribe(
                self._listener.turn_audio(),
                hotwords=self._session.settings.hotwords or None,
                priority=Priority.PARTIAL,
                timeout_s=self._profile.timeouts.stt_s,
            )
            text = transcript.text
        except EngineError as error:
            # Partials are the first thing to go under load; the final transcript does not need them.
            log.debug("partial_dropped", session_id=self.session_id, error=str(error))
        await self._post(told.PartialTranscribed(item_id, text))

    async def _score_turn(self, pause_id: int, samples: Samples) -> None:
        try:
            completeness = await self._engine.turn_detector.completeness(
                samples, timeout_s=self._profile.timeouts.turn_s
            )
        except EngineError as error:
            # Without a score the pause alone decides, later.
            log.warning("turn_not_scored", session_id=self.session_id, error=str(error))
        else:
            await self._post(_TurnScored(pause_id, completeness))

    async def _compose(self, command: do.Compose) -> None:
        llm = self._profile.llm
        request = ChatRequest(
            session_id=self.session_id,
            messages=command.messages,
            max_tokens=command.max_tokens,
            temperature=llm.temperature,
            top_p=llm.top_p,
            top_k=llm.top_k,
            seed=llm.seed,
            priority=Priority.SPECULATIVE if command.speculative else Priority.FINAL,
        )
        response_id = command.response_id
        try:
            pieces = self._engine.language_model.generate(request, timeout_s=self._profile.timeouts.llm_s)
            async with aclosing(pieces):
                async for piece in pieces:
                    await self._post(told.ReplyPiece(response_id, piece.text, piece.finish, piece.usage))
        except EngineError as error:
            log.warning("reply_failed", session_id=self.session_id, stage="llm", error=str(error))
            await self._post(told.ReplyFailed(response_id, str(error)))

    async def _speak(self, command: do.Speak) -> None:
        response_id = command.response_id
        try:
            chunks = self._engine.synthesizer.synthesize(
                command.text,
                speed=self._session.settings.speed or 1.0,
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
            log.warning("reply_failed", session_id=self.session_id, stage="tts", error=str(error))
            await self._post(told.ReplyFailed(response_id, str(error)))

    # --- plumbing --------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._clock.now() - self._started_at

    async def _post(self, entry: SessionInput | _TurnScored) -> None:
        await self._inbox.put(entry)

    async def _send(self, event: ev.CallEvent) -> None:
        assert self._emit is not None
        await self._emit(event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        assert self._tasks is not None
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def _cancel_work(self) -> None:
        self._voice.close()
        for task in self._running:
            task.cancel()

    async def _forget(self) -> None:
        try:
            await self._engine.language_model.forget(self.session_id)
        except EngineError as error:
            log.debug("session_not_forgotten", session_id=self.session_id, error=str(error))


def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
