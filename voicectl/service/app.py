"""Composition root: what must be in order, verified models, the engine, and the gateway that answers calls on it."""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from voicectl.core.lockfile import read_lock
from voicectl.core.paths import store_path
from voicectl.core.profile import Profile
from voicectl.engine.engine import Engine, EngineOptions
from voicectl.service.access.control import AccessControl
from voicectl.service.access.tls import TlsFiles
from voicectl.service.answering import Surroundings, answer_calls
from voicectl.service.checkpoints.open import checkpoint_keeper
from voicectl.service.governing.changes import audited
from voicectl.service.governing.door import door_of
from voicectl.service.governing.open import governing
from voicectl.service.http.listener import bind
from voicectl.service.operations.call_tallies import CallTallies
from voicectl.service.operations.metric_sources import tell_audit
from voicectl.service.operations.metrics import Metrics
from voicectl.service.operations.notify import Notifier
from voicectl.service.recording.open import call_recorder
from voicectl.service.recording.reader import reader_of
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


async def serve_forever(
    profile: Profile, *, on_ready: Callable[[str], None], log_level: str = "info", private: bool = False
) -> None:
    """Run the appliance until SIGTERM or SIGINT; `on_ready` gets the base URL once it takes calls.

    A `private` one serves a single command: that it enforces nothing is nobody's concern.
    """
    # First what can be refused at once: keys, certificates, addresses of other systems, the gate policy, the port.
    access = AccessControl.of(profile)
    tls = TlsFiles.of(profile.tls, profile.access.reload_s)
    governed = governing(profile)
    keeper = checkpoint_keeper(profile.checkpoints, governed.states)
    webhooks = webhook_dispatcher(profile.webhooks)
    door = door_of(profile, governed.audit, private=private)
    recorder = call_recorder(profile, redactor=governed.redactor)
    metrics = Metrics(profile)
    notifier = Notifier(
        os.environ,
        pid=os.getpid(),
        starting_s=profile.timeouts.worker_start_s,
        draining_s=profile.timeouts.drain_s + CLOSING_S,
    )
    listener = bind(profile.server.host, profile.server.port)
    async with AsyncExitStack() as stack:
        stack.callback(listener.close)
        stack.callback(notifier.close)
        records = reader_of(profile.governance)
        if records is not None:
            stack.callback(records.close)
        run = await stack.enter_async_context(_background())
        if governed.audit is not None:
            await stack.enter_async_context(audited(governed.audit, profile))
            tell_audit(metrics, governed.audit.health)
        door.open(metrics, run)
        if records is not None and door.live is not None:
            tallies = CallTallies(records, door.live.policy)
            tallies.tell(metrics)
            run(tallies.run())
        roots = await asyncio.to_thread(model_roots, profile)
        engine = Engine(profile, roots, options=EngineOptions(log_level=log_level))
        stack.push_async_callback(engine.close)
        await engine.launch()
        run(notifier.run(lambda: _can_heal(engine)))
        run(metrics.run())
        metrics.watch_engine(engine.health)
        around = Surroundings(
            listener, access, tls, keeper, webhooks, recorder, door, metrics, notifier, on_ready, run, governed,
            records,
        )  # fmt: skip
        await answer_calls(profile, engine, roots["vad"], around)


def _can_heal(engine: Engine) -> bool:
    """Return whether the engine works or will by itself; while it starts it has no workers yet."""
    states = [worker.state for worker in engine.states().values()]
    return not states or any(state not in ("failed", "stopped") for state in states)


@asynccontextmanager
async def _background() -> AsyncGenerator[Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]], None]:
    """Run tasks beside the body until it ends; an error of one ends it, and comes out as it is."""
    tasks: list[asyncio.Task[None]] = []

    def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        tasks.append(group.create_task(work))
        return tasks[-1]

    try:
        async with asyncio.TaskGroup() as group:
            try:
                yield begin
            finally:
                for task in tasks:
                    task.cancel()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
