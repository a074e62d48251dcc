"""Answer calls while the engine may still load its models: who comes back gets in at once, who is new waits."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from socket import socket
from typing import Any

from voicectl.core.clock import MonotonicClock
from voicectl.core.ports import CallObserver
from voicectl.core.profile import Profile
from voicectl.engine.engine import Engine
from voicectl.media.vad import VoiceActivityDetector
from voicectl.service.access.control import AccessControl
from voicectl.service.access.tls import TlsFiles
from voicectl.service.calls.call import CallServices
from voicectl.service.calls.opener import CallOpener
from voicectl.service.checkpoints.keeper import CheckpointKeeper
from voicectl.service.governing.door import Door
from voicectl.service.governing.open import UNGOVERNED, Governing
from voicectl.service.governing.redacting import RedactingObserver
from voicectl.service.http.application import create_app
from voicectl.service.http.lifecycle import serve
from voicectl.service.http.listener import url_of
from voicectl.service.integrations.open import open_integrations
from voicectl.service.load.admission import Admission
from voicectl.service.load.overload import OverloadWatch
from voicectl.service.operations.metric_sources import (
    tell_admission,
    tell_checkpoints,
    tell_measures,
    tell_recording,
    tell_traces,
    tell_webhooks,
)
from voicectl.service.operations.metrics import Metrics
from voicectl.service.operations.notify import Notifier
from voicectl.service.operations.tracing import open_tracing
from voicectl.service.recording.reader import CallRecordsReader
from voicectl.service.recording.recorder import Recorder
from voicectl.service.scoring.open import ScoringTask, background_scoring
from voicectl.service.scoring.quiet import Quiet
from voicectl.service.webhooks.dispatcher import WebhookDispatcher
from voicectl.service.webhooks.observer import WebhookObserver

Run = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Starts a task whose failure ends the gateway."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around the engine: the port, who may enter, what is kept and told, who hears that one can call.

    The keeper, the webhooks and the recorder are not open yet. `on_ready` gets the base URL.
    """

    listener: socket
    access: AccessControl
    tls: TlsFiles | None
    keeper: CheckpointKeeper | None
    webhooks: WebhookDispatcher | None
    recorder: Recorder | None
    door: Door
    metrics: Metrics
    notifier: Notifier
    on_ready: Callable[[str], None]
    run: Run
    governed: Governing = UNGOVERNED
    records: CallRecordsReader | None = None


async def answer_calls(profile: Profile, engine: Engine, vad: Path, around: Surroundings) -> None:
    """Serve until SIGTERM or SIGINT, with the model of voice activity in the folder `vad`.

    Raises EngineError when a worker cannot start.
    """
    async with AsyncExitStack() as stack:
        services = await _services(profile, stack, around)
        await _answer(profile, engine, vad, services, around)


async def _answer(profile: Profile, engine: Engine, vad: Path, services: CallServices, around: Surroundings) -> None:
    # Loaded once a process; the first caller must not wait for it.
    await asyncio.to_thread(VoiceActivityDetector, vad)
    clock, metrics, notifier = MonotonicClock(), around.metrics, around.notifier
    overload = profile.overload
    admission = Admission(
        profile.server.max_sessions, max_waiting=overload.waiting_sessions, waiting_s=overload.waiting_s
    )
    tell_admission(metrics, admission)
    quiet = Quiet(is_busy=lambda: admission.draining or len(admission) > 0)
    services = replace(services, observers=(*services.observers, quiet))
    scoring = ScoringTask(background_scoring(profile, around.records, engine.main_language_model, quiet), around.run)
    scoring.tell(metrics)
    opener = CallOpener(
        profile,
        engine,
        vad,
        clock,
        admission=admission,
        rollout=around.door.rollout,
        services=services,
        keeper=around.keeper,
    )
    watch = OverloadWatch(profile, opener.load, opener.take_stance)
    tell_measures(metrics, lambda: watch.stance.measures)
    secure = around.tls is not None
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def drain() -> None:
        notifier.stopping("letting calls end")
        scoring.stop()

    async def load() -> None:
        await engine.wait_ready()
        await around.door.settled()
        opener.open()
        url = await listening
        notifier.ready(f"{admission.max_sessions} calls at a time on {url}")
        around.on_ready(url)
        scoring.begin()
        await watch.run()

    loading = around.run(load())
    try:
        await serve(
            create_app(opener, profile, clock=clock, admission=admission, access=around.access, metrics=metrics.page),
            around.listener,
            on_started=lambda: listening.set_result(url_of(profile.server.host, around.listener, secure=secure)),
            on_draining=drain,
            drain_s=profile.timeouts.drain_s,
            tls=around.tls,
        )
    finally:
        # Before the engine is closed, whose clients would tell it that they are refused.
        loading.cancel()
        await scoring.ended()


async def _services(profile: Profile, stack: AsyncExitStack, around: Surroundings) -> CallServices:
    """Open what calls use besides the engine, until `stack` closes it, and let the metrics tell of it."""
    metrics, keeper, webhooks = around.metrics, around.keeper, around.webhooks
    # Metrics keep no words; whatever may is shown the calls through redaction.
    observers: list[CallObserver] = []
    tracing = await stack.enter_async_context(open_tracing(profile))
    if tracing is not None:
        observers.append(tracing.observer)
        tell_traces(metrics, tracing.counts)
    systems = await stack.enter_async_context(open_integrations(profile.integrations, on_run=metrics.exchange_ended))
    if keeper is not None:
        await stack.enter_async_context(keeper)
        tell_checkpoints(metrics, keeper.health)
    if webhooks is not None:
        await stack.enter_async_context(webhooks)
        observers.append(WebhookObserver(webhooks.offer))
        tell_webhooks(metrics, webhooks.health)
    governed = around.governed
    if governed.redactor is not None:
        observers = [RedactingObserver(observers, governed.redactor, governed.audit)]
    # The recorder redacts on its own thread, where it can revise what it wrote of earlier turns.
    if around.recorder is not None:
        if governed.audit is not None:
            around.recorder.tell(governed.audit)
        if tracing is not None:
            around.recorder.observer.trace_of = tracing.observer.trace_id
        await stack.enter_async_context(around.recorder)
        observers.append(around.recorder.observer)
        tell_recording(metrics, around.recorder.health)
    return CallServices(
        checkpoints=keeper,
        tools=systems.tools,
        context=systems.context,
        observers=(metrics.calls, *observers),
        on_frame_sent=metrics.observe_lateness,
    )
