"""One call across the planes: carries out what the agent session decides. Decides nothing about turns."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent.session import Session, SessionInput
from voicectl.core import events as ev
from voicectl.core.checkpoint import ConversationState
from voicectl.core.clock import Clock
from voicectl.core.measures import Measures
from voicectl.core.ports import CallIdentity, Purpose
from voicectl.core.profile import Profile
from voicectl.media import endpointing
from voicectl.media.endpointing import Decision, Evidence
from voicectl.media.listening import Listener
from voicectl.service.calls.call_work import CallEngine, CallServices, CallWork, TurnScored
from voicectl.service.calls.observing import Observers
from voicectl.service.calls.voice import Voice

__all__ = ["Call", "CallEngine", "CallServices"]

log = structlog.get_logger(__name__)

Emit = Callable[[ev.CallEvent], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Nudge:
    """Wakes a call that waits for its queue: something was left for it elsewhere."""


class Call:
    """One conversation. A single task owns all state and reads one queue; helpers only post to it."""

    def __init__(
        self,
        session_id: str,
        profile: Profile,
        engine: CallEngine,
        listener: Listener,
        clock: Clock,
        *,
        services: CallServices | None = None,
        owner: str | None = None,
        attributes: Mapping[str, str] | None = None,
        resumed: ConversationState | None = None,
        purpose: Purpose | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """`resumed` is what was kept of the conversation that goes on; `wall_clock` counts since the epoch."""
        self.session_id = session_id
        self._listener = listener
        self._clock = clock
        self._wall_clock = wall_clock
        self._services = services or CallServices()
        self._observers = Observers(self._services.observers)
        self._resumed = resumed
        self._started_at = clock.now()
        self.identity = CallIdentity(
            session_id, owner, wall_clock(), resumed is not None, dict(attributes or {}), purpose
        )
        tools = () if self._services.tools is None else self._services.tools.tools
        self._session = Session(profile, lambda kind: f"{kind}_{secrets.token_hex(8)}", gateway_tools=tools)
        on_sent = self._services.on_frame_sent
        self._voice = Voice(profile.playout.lead_ms, clock, self._send, self._post, self._spawn, on_sent=on_sent)
        self._work = CallWork(
            session_id,
            profile,
            engine,
            voice=self._voice,
            post=self._post,
            settings=lambda: self._session.settings,
        )
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._emit: Emit | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._hearings: dict[int, asyncio.Task[None]] = {}
        self._pauses: dict[int, int] = {}
        self._pause_id: int | None = None
        self._composing: dict[str, asyncio.Task[None]] = {}
        self._speaking: dict[str, asyncio.Task[None]] = {}
        self._reminders: dict[str, list[asyncio.Task[None]]] = {}
        self._last_audio_at = 0.0
        self._onset_s = 0.0
        self._measures: Measures | None = None

    def apply(self, measures: Measures) -> None:
        """Leave out what is to be left out at present, and no more. Never waits; the last word counts."""
        self._measures = measures
        if not self._inbox.full():
            self._inbox.put_nowait(_Nudge())

    async def run(self, actions: asyncio.Queue[Any], emit: Emit) -> None:
        """Serve the call until `CallerLeft`. Results of the engine join `actions`."""
        self._inbox = actions
        self._emit = emit
        reason = "the call failed"
        log.info("call_started", session_id=self.session_id, resumed=self.identity.resumed)
        self._observers.show(lambda observer: observer.call_started(self.identity))
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await self._begin()
                reason = await self._serve()
                self._cancel_work()
        finally:
            self._observers.show(lambda observer: observer.call_ended(self.identity, reason))
            await self._work.forget()
            log.info("call_ended", session_id=self.session_id, seconds=round(self._now(), 3))

    async def _begin(self) -> None:
        if self._services.context is not None:
            self._spawn(self._work.fetch_context(self._services.context, dict(self.identity.attributes)))
        if self._resumed is not None:
            commands = self._session.restore(self._resumed, self._now())
            self._configure_listener()
            for command in commands:
                await self._carry_out(command)

    async def _serve(self) -> str:
        while True:
            if self._measures is not None:
                measures, self._measures = self._measures, None
                await self._step(told.MeasuresChanged(measures))
            entry = await self._inbox.get()
            await self._take(entry)
            if isinstance(entry, ev.CallerLeft):
                return entry.reason

    async def _take(self, entry: Any) -> None:
        """Handle one entry of the queue."""
        match entry:
            case ev.AudioReceived():
                await self._hear_audio(entry)
            case TurnScored(pause_id, completeness):
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
            case _Nudge():
                pass
            case _:
                await self._step(entry)

    # --- listening -------------------------------------------------------------------------------

    async def _hear_audio(self, audio: ev.AudioReceived) -> None:
        self._last_audio_at = audio.received_at - self._started_at
        for decision in self._listener.push(audio.pcm, audio.sample_rate):
            await self._follow(decision)
        onset_s = self._listener.onset_seconds()
        if self._listener.speaking:
            await self._step(told.CallerSpeaking(self._listener.speech_seconds()))
        elif onset_s != self._onset_s:
            await self._step(told.CallerStirred(onset_s))
        self._onset_s = onset_s

    async def _weigh(self, evidence: Evidence) -> None:
        for decision in self._listener.weigh(evidence):
            await self._follow(decision)

    async def _follow(self, decision: Decision) -> None:
        """Tell the session what endpointing decided."""
        match decision:
            case endpointing.SpeechBegan(position_s):
                self._spawn(self._work.wake(self._session.expected()))
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
                if isinstance(event, ev.ResponseEnded):
                    self._drop_reminders(event.response_id)
            case do.Hear(hearing_id, final):
                self._hear_turn(hearing_id, final=final)
            case do.HearPartial(item_id, decides):
                self._spawn(self._work.transcribe_partial(item_id, self._listener.turn_audio(), decides=decides))
            case do.StopHearing(hearing_id):
                self._pauses.pop(hearing_id, None)
                _cancel(self._hearings.pop(hearing_id, None))
            case do.EndTurn():
                self._listener.reset_turn()
            case do.Release() | do.FinishPlayout() | do.HoldPlayout() | do.ResumePlayout():
                self._play(command)
            case do.StopPlayout(response_id):
                heard_text, heard_s = self._voice.stop(response_id)
                await self._step(told.PlayoutStopped(response_id, heard_text, round(heard_s * 1000)))
            case do.Abandon(response_id):
                _cancel(self._composing.pop(response_id, None))
                _cancel(self._speaking.pop(response_id, None))
                self._drop_reminders(response_id)
                self._voice.drop(response_id)
            case do.Checkpoint():
                self._keep()
            case _:
                self._begin_work(command)

    def _play(self, command: do.Release | do.FinishPlayout | do.HoldPlayout | do.ResumePlayout) -> None:
        """Let a reply sound, hold it, or let it come to its end."""
        match command:
            case do.Release(response_id, item_id):
                self._voice.release(response_id, item_id)
            case do.FinishPlayout(response_id):
                self._spawn(self._voice.finish(response_id))
            case do.HoldPlayout(response_id):
                self._voice.hold(response_id)
            case do.ResumePlayout(response_id):
                self._voice.resume(response_id)

    def _begin_work(self, command: do.Compose | do.Speak | do.CallTool | do.Remind | do.LimitHold) -> None:
        """Start what takes time and is answered through the queue."""
        response_id = command.response_id
        match command:
            case do.Compose():
                self._follow_up(self._composing, response_id, self._work.compose(command))
            case do.Speak():
                self._follow_up(self._speaking, response_id, self._work.speak(command))
            case do.CallTool():
                if self._services.tools is not None:
                    self._spawn(self._work.call_tool(self._services.tools, command))
            case do.LimitHold():
                self._spawn(self._work.limit_hold(command))
            case do.Remind():
                self._reminders.setdefault(response_id, []).append(self._spawn(self._work.remind(command)))

    def _follow_up(self, tasks: dict[str, asyncio.Task[None]], key: str, work: Coroutine[Any, Any, None]) -> None:
        """Start the present piece of work on a reply, and forget it once it is done."""
        task = tasks[key] = self._spawn(work)

        def forget(done: asyncio.Task[None]) -> None:
            if tasks.get(key) is done:
                del tasks[key]

        task.add_done_callback(forget)

    def _hear_turn(self, hearing_id: int, *, final: bool) -> None:
        samples = self._listener.turn_audio()
        if not final and self._pause_id is not None:
            self._pauses[hearing_id] = self._pause_id
            self._spawn(self._work.score_turn(self._pause_id, samples))
        task = self._hearings[hearing_id] = self._spawn(self._work.transcribe(hearing_id, samples, final=final))
        task.add_done_callback(lambda _: self._hearings.pop(hearing_id, None))

    def _drop_reminders(self, response_id: str) -> None:
        for task in self._reminders.pop(response_id, ()):
            task.cancel()

    def _keep(self) -> None:
        writer = self._services.checkpoints
        if writer is None:
            return
        try:
            state = self._session.state(self.session_id, self.identity.owner, self._wall_clock())
            purpose = self.identity.purpose
            writer.save(state if purpose is None else replace(state, use_case=purpose.use_case))
        except Exception:  # the edge of the store: a call goes on without being kept
            log.exception("checkpoint_failed", session_id=self.session_id)

    # --- plumbing --------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._clock.now() - self._started_at

    async def _post(self, entry: Any) -> None:
        await self._inbox.put(entry)

    async def _send(self, event: ev.CallEvent) -> None:
        assert self._emit is not None
        if not isinstance(event, ev.ReplyAudio):
            at = self._now()
            self._observers.show(lambda observer: observer.call_event(self.identity, event, at))
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


def _cancel(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
