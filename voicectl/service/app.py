"""Composition root: verified models, the engine, what surrounds it, and the gateway that opens calls on it."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final
from weakref import WeakSet

from voicectl.core.checkpoint import ConversationState
from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.lockfile import read_lock
from voicectl.core.paths import store_path
from voicectl.core.ports import CallObserver, LanguageModel, Synthesizer, Transcriber
from voicectl.core.profile import Profile
from voicectl.engine.engine import Engine, EngineOptions
from voicectl.media.endpointing import Endpointer
from voicectl.media.listening import Listener
from voicectl.media.vad import VoiceActivityDetector
from voicectl.service.access.control import AccessControl
from voicectl.service.access.tls import TlsFiles
from voicectl.service.calls.call import Call, CallEngine, CallServices
from voicectl.service.checkpoints.keeper import CheckpointKeeper
from voicectl.service.checkpoints.open import checkpoint_keeper
from voicectl.service.http.application import create_app
from voicectl.service.http.lifecycle import serve
from voicectl.service.integrations.open import open_integrations
from voicectl.service.load.admission import Admission
from voicectl.service.load.overload import LoadSample, OverloadWatch, Stance
from voicectl.service.operations.metric_sources import (
    tell_admission,
    tell_checkpoints,
    tell_measures,
    tell_traces,
    tell_webhooks,
)
from voicectl.service.operations.metrics import Metrics
from voicectl.service.operations.notify import Notifier
from voicectl.service.operations.tracing import open_tracing
from voicectl.service.webhooks.observer import WebhookObserver
from voicectl.service.webhooks.open import webhook_dispatcher
from voicectl.weights.store import Store

CLOSING_S: Final = 10.0
"""Time for calls that are ended, and for what is still owed to other systems, once draining is over."""


def model_roots(profile: Profile, roles: Collection[str] | None = None) -> dict[str, Path]:
    """Return the folders of a profile's models by role, all or some, after their digests were checked.

    Raises ChecksumMismatch (exit 4) or ArtifactMissing (exit 5).
    """
    lock = read_lock()
    store = Store(store_path())
    names = profile.model_names()
    wanted = names if roles is None else roles
    return {role: store.verified_root(lock.model(names[role])) for role in wanted}


class Gateway:
    """Opens calls on a running engine, and has them all do with less while the load is high."""

    def __init__(
        self,
        profile: Profile,
        engine: Engine,
        vad: Path,
        clock: Clock,
        *,
        admission: Admission,
        services: CallServices | None = None,
        keeper: CheckpointKeeper | None = None,
    ) -> None:
        self._profile = profile
        self._engine = engine
        self._vad = vad
        self._clock = clock
        self._admission = admission
        self._services = services or CallServices()
        self._keeper = keeper
        self._calls: WeakSet[Call] = WeakSet()
        self._stance = Stance()

    @property
    def profile(self) -> Profile:
        """The profile that runs."""
        return self._profile

    @property
    def model_name(self) -> str:
        """The language model's name, as clients see it."""
        return self._profile.models.llm

    @property
    def transcriber(self) -> Transcriber:
        """Speech to text."""
        return self._engine.transcriber

    @property
    def language_model(self) -> LanguageModel:
        """Text to text."""
        return self._engine.language_model

    @property
    def synthesizer(self) -> Synthesizer:
        """Text to speech."""
        return self._engine.synthesizer

    def ready(self) -> bool:
        """Whether new calls make sense: every stage answers now, or in a moment."""
        return self._engine.health().serving

    def stages(self) -> Mapping[str, str]:
        """Return the state of each stage."""
        return {stage: health.status for stage, health in self._engine.health().stages.items()}

    def open_conversation(
        self,
        session_id: str,
        *,
        owner: str | None,
        attributes: Mapping[str, str],
        state: ConversationState | None,
    ) -> Call:
        """Return a call; with `state` it goes on where that was saved."""
        profile = self._profile
        listener = Listener(VoiceActivityDetector(self._vad), Endpointer(profile.endpointing, profile.vad), profile.vad)
        engine = CallEngine(self.transcriber, self._engine.turn_detector, self.language_model, self.synthesizer)
        call = Call(
            session_id,
            profile,
            engine,
            listener,
            self._clock,
            services=self._services,
            owner=owner,
            attributes=attributes,
            resumed=state,
        )
        self._calls.add(call)
        if self._stance.measures.level:
            call.apply(self._stance.measures)
        return call

    async def saved(self, session_id: str, owner: str | None) -> ConversationState | None:
        """Return the conversation of an earlier session, None when it is unknown, too old or somebody else's."""
        return None if self._keeper is None else await self._keeper.load(session_id, owner)

    def load(self, loop_lag_ms: float) -> LoadSample:
        """Return how busy everything is."""
        stages = {stage: health.load for stage, health in self._engine.health().stages.items()}
        return LoadSample(stages, loop_lag_ms, len(self._admission), self._admission.num_waiting)

    def take_stance(self, stance: Stance) -> None:
        """Do with less, or with all again: live calls, the engine, and the door for new calls."""
        self._stance = stance
        self._admission.set_door(stance.door)
        self._engine.prefer_fallbacks(stance.measures.smaller_model)
        for call in list(self._calls):
            call.apply(stance.measures)


async def serve_forever(profile: Profile, *, on_ready: Callable[[str], None], log_level: str = "info") -> None:
    """Run the appliance until SIGTERM or SIGINT; `on_ready` gets the base URL once it takes calls."""
    # First what can be refused at once: keys, certificates, addresses of other systems.
    access = AccessControl.of(profile)
    tls = TlsFiles.of(profile.tls, profile.access.reload_s)
    keeper = checkpoint_keeper(profile.checkpoints)
    webhooks = webhook_dispatcher(profile.webhooks)
    metrics = Metrics(profile)
    notifier = Notifier(
        os.environ,
        pid=os.getpid(),
        starting_s=profile.timeouts.worker_start_s,
        draining_s=profile.timeouts.drain_s + CLOSING_S,
    )
    async with AsyncExitStack() as stack:
        stack.callback(notifier.close)
        run = await stack.enter_async_context(_background())
        roots = await asyncio.to_thread(model_roots, profile)
        # Loaded once a process; the first caller must not wait for it.
        await asyncio.to_thread(VoiceActivityDetector, roots["vad"])
        engine = Engine(profile, roots, options=EngineOptions(log_level=log_level))
        run(notifier.run(lambda: _can_heal(engine)))
        run(metrics.run())
        observers: list[CallObserver] = [metrics.calls]
        tracing = await stack.enter_async_context(open_tracing(profile))
        if tracing is not None:
            observers.append(tracing.observer)
            tell_traces(metrics, tracing.counts)
        systems = await stack.enter_async_context(
            open_integrations(profile.integrations, on_run=metrics.exchange_ended)
        )
        if keeper is not None:
            await stack.enter_async_context(keeper)
            tell_checkpoints(metrics, keeper.health)
        if webhooks is not None:
            await stack.enter_async_context(webhooks)
            observers.append(WebhookObserver(webhooks.offer))
            tell_webhooks(metrics, webhooks.health)
        await stack.enter_async_context(engine)
        metrics.watch_engine(engine.health)
        admission = _admission(profile)
        tell_admission(metrics, admission)
        services = CallServices(
            checkpoints=keeper,
            tools=systems.tools,
            context=systems.context,
            observers=tuple(observers),
            on_frame_sent=metrics.observe_lateness,
        )
        clock = MonotonicClock()
        gateway = Gateway(profile, engine, roots["vad"], clock, admission=admission, services=services, keeper=keeper)
        watch = OverloadWatch(profile, gateway.load, gateway.take_stance)
        tell_measures(metrics, lambda: watch.stance.measures)
        run(watch.run())

        def started(url: str) -> None:
            notifier.ready(f"{admission.max_sessions} calls at a time on {url}")
            on_ready(url)

        await serve(
            create_app(gateway, profile, clock=clock, admission=admission, access=access, metrics=metrics.page),
            profile.server.host,
            profile.server.port,
            on_started=started,
            on_draining=lambda: notifier.stopping("letting calls end"),
            drain_s=profile.timeouts.drain_s,
            tls=tls,
        )


def _admission(profile: Profile) -> Admission:
    overload = profile.overload
    return Admission(profile.server.max_sessions, max_waiting=overload.waiting_sessions, waiting_s=overload.waiting_s)


def _can_heal(engine: Engine) -> bool:
    """Return whether the engine works or will by itself; while it starts it has no workers yet."""
    states = [worker.state for worker in engine.states().values()]
    return not states or any(state not in ("failed", "stopped") for state in states)


@asynccontextmanager
async def _background() -> AsyncGenerator[Callable[[Coroutine[Any, Any, None]], None], None]:
    """Run tasks beside the body until it ends; an error of one ends it, and comes out as it is."""
    tasks: list[asyncio.Task[None]] = []
    try:
        async with asyncio.TaskGroup() as group:
            try:
                yield lambda work: tasks.append(group.create_task(work))
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
