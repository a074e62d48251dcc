"""A gateway and its calls by script: every action gets the events a real call would send, at once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from tests.fakes.engine_ports import FakeLanguageModel, FakeSynthesizer, FakeTranscriber
from voicectl.core import events as ev
from voicectl.core.audio import duration_s, float_to_pcm16
from voicectl.core.checkpoint import ConversationState
from voicectl.core.errors import RequestRejected
from voicectl.core.ports import Purpose
from voicectl.core.profile import Profile
from voicectl.core.records import Tier
from voicectl.core.rollout import Admitted, Refused, Rollout
from voicectl.core.sections.access import Access
from voicectl.core.sections.hardware import Hardware, Models, Worker
from voicectl.core.sections.server import Server, Timeouts
from voicectl.media.transports.realtime.connection import Emit
from voicectl.service.access.tls import TlsFiles
from voicectl.service.http.application import GatewayApp, create_app
from voicectl.service.http.lifecycle import serve
from voicectl.service.http.listener import bind, url_of

REPLY_RATE_HZ = 22_050


def tone(seconds: float, sample_rate: int, frequency: float = 440.0) -> bytes:
    """Return a sine as 16-bit PCM."""
    at = np.arange(round(seconds * sample_rate), dtype=np.float32) / sample_rate
    return float_to_pcm16(0.5 * np.sin(2 * np.pi * frequency * at, dtype=np.float32))


def scripted_profile(*, access: Access | None = None, **server: object) -> Profile:
    """Return a small profile with the given settings of the server section."""
    settings = {"port": 0, "stall_s": 1.0, "hangup_s": 0.5, **server}
    return Profile(
        name="test",
        description="Scripted calls.",
        hardware=Hardware(cpu_cores=1, memory_gb=1),
        models=Models(stt="s", llm="scripted-model", tts="scripted-voice", turn="t", vad="v"),
        workers=(Worker(name="all", stages=("stt", "llm", "tts", "turn")),),
        server=Server.model_validate(settings),
        # The keys of the machine that runs the tests are not theirs.
        access=access or Access(anonymous=True, check_keys=False),
        timeouts=Timeouts(idle_session_s=60.0),
    )


@dataclass
class Script:
    """How the calls behave. `hold_reply` leaves a reply open until it is cancelled or spoken over."""

    reply: str = "Hello there."
    heard: str = "what is the time"
    reply_s: float = 0.3
    hold_reply: bool = False
    flood: bool = False
    crash: bool = False
    deaf: bool = False
    times: ev.StageTimes | None = None
    extra: ev.CallEvent | None = None


@dataclass
class ScriptedConversation:
    """One call: answers actions in order and remembers them."""

    session_id: str
    script: Script
    owner: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    state: ConversationState | None = None
    purpose: Purpose | None = None
    actions: list[ev.CallerAction] = field(default_factory=list)
    items: dict[str, ev.Item] = field(default_factory=dict)
    started: bool = False
    finished: bool = False
    audio: bytes = b""
    audio_rate: int = 0
    modality: ev.Modality = "audio"
    open_reply: ev.ResponseStarted | None = None
    num_turns: int = 0
    num_replies: int = 0

    async def run(self, actions: "asyncio.Queue[ev.CallerAction]", emit: Emit) -> None:
        self.started = True
        try:
            if self.script.deaf:
                await asyncio.Event().wait()
            while True:
                action = await actions.get()
                self.actions.append(action)
                if isinstance(action, ev.CallerLeft):
                    return
                await self._answer(action, emit)
        finally:
            self.finished = True

    def last_item_id(self) -> str | None:
        return next(reversed(self.items), None)

    async def _answer(self, action: ev.CallerAction, emit: Emit) -> None:
        if self.script.crash:
            raise RuntimeError("scripted crash")
        match action:
            case ev.SessionConfigured():
                self.modality = action.settings.output_modality or self.modality
                await emit(ev.SettingsChanged(action.settings, action.event_id))
            case ev.AudioReceived():
                self.audio += action.pcm
                self.audio_rate = action.sample_rate
            case ev.AudioCommitRequested():
                await self._commit(action, emit)
            case ev.AudioClearRequested():
                self.audio = b""
                if self.script.extra is not None:
                    await emit(self.script.extra)
                await emit(ev.AudioCleared(action.event_id))
            case ev.ItemCreateRequested():
                previous = self.last_item_id()
                self.items[action.item.item_id] = action.item
                await emit(ev.ItemAdded(action.item, previous, action.event_id))
                await emit(ev.ItemDone(action.item, previous))
            case ev.ItemDeleteRequested():
                self.items.pop(action.item_id, None)
                await emit(ev.ItemDeleted(action.item_id, action.event_id))
            case ev.ItemRetrieveRequested():
                await self._retrieve(action, emit)
            case ev.ItemTruncateRequested():
                await emit(ev.ItemTruncated(action.item_id, action.audio_end_ms, "", action.event_id))
            case ev.ResponseRequested():
                await self._reply(action, emit)
            case ev.ResponseCancelRequested():
                await self._cancel(action, emit)

    async def _retrieve(self, action: ev.ItemRetrieveRequested, emit: Emit) -> None:
        item = self.items.get(action.item_id)
        if item is None:
            code = "item_retrieve_invalid_item_id"
            await emit(ev.ActionRejected(code, f"no item {action.item_id}", action.event_id, "item_id"))
        else:
            await emit(ev.ItemRetrieved(item, action.event_id))

    async def _commit(self, action: ev.AudioCommitRequested, emit: Emit) -> None:
        if not self.audio:
            await emit(ev.ActionRejected("input_audio_buffer_commit_empty", "no audio", action.event_id))
            return
        self.num_turns += 1
        item = ev.Item(f"item_user{self.num_turns}", "user", self.script.heard, "audio")
        previous = self.last_item_id()
        seconds = duration_s(self.audio, self.audio_rate)
        self.items[item.item_id] = item
        self.audio = b""
        await emit(ev.SpeechStarted(item.item_id, 0.1))
        await emit(ev.TranscriptDelta(item.item_id, "what is"))
        await emit(ev.SpeechStopped(item.item_id, seconds))
        await emit(ev.AudioCommitted(item.item_id, previous, action.event_id))
        await emit(ev.ItemAdded(replace(item, text="", complete=False), previous))
        await emit(ev.TranscriptDelta(item.item_id, " the time"))
        await emit(ev.TranscriptFinal(item.item_id, self.script.heard, seconds))
        await emit(ev.ItemDone(item, previous))

    async def _reply(self, action: ev.ResponseRequested, emit: Emit) -> None:
        if self.open_reply is not None:
            code = "conversation_already_has_active_response"
            await emit(ev.ActionRejected(code, "a response is in progress", action.event_id))
            return
        self.num_replies += 1
        modality = action.output_modality or self.modality
        started = ev.ResponseStarted(
            f"resp_{self.num_replies}", f"item_reply{self.num_replies}", self.last_item_id(), modality, action.metadata
        )
        self.open_reply = started
        await emit(started)
        num_pieces = 3
        while True:
            for _ in range(num_pieces):
                await emit(ev.ReplyText(started.response_id, started.item_id, self.script.reply))
                if modality == "audio":
                    pcm = tone(self.script.reply_s / num_pieces, REPLY_RATE_HZ)
                    await emit(ev.ReplyAudio(started.response_id, started.item_id, pcm, REPLY_RATE_HZ))
            if not self.script.flood:
                break
        if not self.script.hold_reply:
            await self._end("completed", emit)

    async def _end(self, status: ev.ResponseStatus, emit: Emit, reason: str | None = None) -> None:
        started = self.open_reply
        assert started is not None
        self.open_reply = None
        text = self.script.reply * 3 if status == "completed" else self.script.reply
        self.items[started.item_id] = ev.Item(started.item_id, "assistant", text, started.modality)
        await emit(
            ev.ResponseEnded(
                started.response_id,
                started.item_id,
                status,
                text,
                started.modality,
                reason=reason,
                usage=ev.TokenUsage(11, 5, 7),
                times=self.script.times,
                metadata=started.metadata,
            )
        )

    async def _cancel(self, action: ev.ResponseCancelRequested, emit: Emit) -> None:
        if self.open_reply is None:
            code = "response_cancel_not_active"
            await emit(ev.ActionRejected(code, "Cancellation failed: no active response", action.event_id))
        else:
            await self._end("cancelled", emit, "client_cancelled")


@dataclass
class ScriptedGateway:
    """Opens scripted calls and remembers them."""

    script: Script = field(default_factory=Script)
    is_ready: bool = True
    is_loading: bool = False
    is_full: bool = False
    conversations: list[ScriptedConversation] = field(default_factory=list)
    checkpoints: dict[str, ConversationState] = field(default_factory=dict)
    tiers: dict[str, Tier | None] = field(default_factory=dict)
    rollout: Rollout | None = None
    profile: Profile = field(default_factory=lambda: scripted_profile())
    transcriber: FakeTranscriber = field(default_factory=lambda: FakeTranscriber(["what is the time"]))
    language_model: FakeLanguageModel = field(default_factory=FakeLanguageModel)
    synthesizer: FakeSynthesizer = field(default_factory=FakeSynthesizer)

    @property
    def model_name(self) -> str:
        return "scripted-model"

    def open_conversation(
        self,
        session_id: str,
        *,
        owner: str | None = None,
        attributes: Mapping[str, str] | None = None,
        state: ConversationState | None = None,
        purpose: Purpose | None = None,
    ) -> ScriptedConversation:
        if self.is_full:
            raise RequestRejected("no room")
        items = {item.item_id: item for item in state.items} if state is not None else {}
        conversation = ScriptedConversation(
            session_id, self.script, owner, attributes or {}, state, items=items, purpose=purpose
        )
        self.conversations.append(conversation)
        return conversation

    async def saved(self, session_id: str, owner: str | None) -> ConversationState | None:
        state = self.checkpoints.get(session_id)
        return state if state is not None and state.owner == owner else None

    def stages(self) -> Mapping[str, str]:
        return {"stt": "ready", "llm": "ready" if self.is_ready else "starting"}

    def ready(self) -> bool:
        return self.is_ready

    def admit(self, use_case: str) -> Admitted | Refused:
        if self.rollout is not None:
            return self.rollout.admit(use_case)
        tier = self.tiers.get(use_case, "low")
        return Refused("use_case_not_promoted", "a test") if tier is None else Admitted(tier)

    def resuming(self) -> bool:
        return self.is_ready or self.is_loading


@dataclass
class RunningGateway:
    """A served gateway. `stop` ends it; it has ended when `running` returns."""

    gateway: ScriptedGateway
    url: str
    stop: asyncio.Event
    app: GatewayApp

    @property
    def realtime_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1/realtime?model=scripted-model"

    @property
    def call(self) -> ScriptedConversation:
        return self.gateway.conversations[-1]


@asynccontextmanager
async def running(
    script: Script | None = None,
    *,
    profile: Profile | None = None,
    drain_s: float = 0.0,
    tls: TlsFiles | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[RunningGateway]:
    """Serve scripted calls on a free port of loopback over real sockets."""
    profile = profile or scripted_profile()
    gateway = ScriptedGateway(script or Script(), profile=profile)
    app = create_app(gateway, profile)
    stop = asyncio.Event()
    listener, listening = bind(host, 0), asyncio.Event()
    url = url_of(host, listener, secure=tls is not None)
    async with asyncio.TaskGroup() as group:
        group.create_task(
            serve(app, listener, on_started=listening.set, drain_s=drain_s, stop=stop, tls=tls), name="served-gateway"
        )
        try:
            await listening.wait()
            yield RunningGateway(gateway, url, stop, app)
        finally:
            stop.set()


async def eventually(condition: Callable[[], bool], *, within_s: float = 5.0) -> None:
    """Return once `condition` holds; for what other tasks do. Raises TimeoutError."""
    async with asyncio.timeout(within_s):
        while not condition():  # the condition is about code that knows no tests
            await asyncio.sleep(0.01)
