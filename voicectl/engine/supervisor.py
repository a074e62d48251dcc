"""Keeps one worker process alive: starts it, watches its heart, starts it again, and says how it is."""

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import structlog

from voicectl.core.clock import MonotonicClock
from voicectl.core.errors import EngineError, RequestCancelled
from voicectl.core.sections.hardware import Stage
from voicectl.engine.channel import Channel, ZmqContext
from voicectl.engine.child import Child, exit_text
from voicectl.engine.client import WorkerClient
from voicectl.engine.messages import (
    MalformedMessage,
    Ping,
    Pong,
    Ready,
    Reply,
    StartFailed,
    decode_from_worker,
    encode,
)
from voicectl.engine.restarts import Life, RestartPolicy, restart_delay_s
from voicectl.engine.workerlog import WorkerLog

State = Literal["starting", "ready", "restarting", "failed", "stopped"]

KEPT_LIVES: Final = 16
TOLD_LINES: Final = 5

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """How a worker is. `restarts` counts its starts after the first, `queued` its open requests."""

    name: str
    stages: tuple[Stage, ...]
    state: State
    pid: int | None
    restarts: int
    queued: int


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """How to start a worker. `setup` makes the first line of its stdin from the address to connect to."""

    name: str
    stages: tuple[Stage, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    setup: Callable[[str], bytes]
    socket_stem: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the supervisor waits: for a start, for pongs, and for a worker that was told to end."""

    start_s: float = 60.0
    ping_interval_s: float = 1.0
    max_unanswered_pings: int = 5
    stop_s: float = 3.0
    restarts: RestartPolicy = field(default_factory=RestartPolicy)


class WorkerStartFailed(EngineError):
    """A worker cannot do its work; carries the exit code of the worker's own error."""

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class Supervisor:
    """Owns the process of one worker, and tells its client when to send."""

    def __init__(
        self, plan: WorkerPlan, client: WorkerClient, context: ZmqContext, folder: Path, patience: Patience
    ) -> None:
        self._plan = plan
        self._client = client
        self._context = context
        self._folder = folder
        self._patience = patience
        self._clock = MonotonicClock()
        self._log = log.bind(worker=plan.name)
        self._worker_log = WorkerLog(plan.name)
        self._state: State = "starting"
        self._child: Child | None = None
        self._lives: deque[Life] = deque(maxlen=KEPT_LIVES)
        self._num_lives = 0
        self._was_ready = False
        self._last_cause = ""
        # Of the present life:
        self._channel: Channel | None = None
        self._ready = asyncio.Event()
        self._ready_at: float | None = None
        self._start_failed: StartFailed | None = None
        self._answered_ping = 0
        self._killed_because: str | None = None

    def state(self) -> WorkerState:
        """Return how the worker is now."""
        return WorkerState(
            name=self._plan.name,
            stages=self._plan.stages,
            state=self._state,
            pid=None if self._child is None else self._child.pid,
            restarts=max(0, self._num_lives - 1),
            queued=self._client.num_open,
        )

    async def run(self) -> None:
        """Keep the worker alive until cancelled, or until it cannot be started."""
        try:
            while True:
                self._lives.append(await self._live())
                delay_s = restart_delay_s(list(self._lives), self._patience.restarts)
                if delay_s is None or self._tells_why():
                    self._fail(self._failure())
                    return
                self._state = "restarting"
                self._log.warning("worker_restarting", delay_s=delay_s, restarts=self._num_lives)
                await asyncio.sleep(delay_s)
        except Exception as error:
            log.exception("supervisor_failed", worker=self._plan.name)
            self._fail(WorkerStartFailed(f"worker {self._plan.name}: {type(error).__name__}: {error}"))
        finally:
            if self._state != "failed":
                self._state = "stopped"
                self._refuse_all()

    # --- one life ----------------------------------------------------------------------------

    async def _live(self) -> Life:
        """Run the process from its start to its end, whoever ends it."""
        self._num_lives += 1
        self._ready.clear()
        self._ready_at = self._start_failed = self._killed_because = None
        self._answered_ping = 0
        started_at = self._clock.now()
        # A socket of its own a life: nothing that was meant for a dead worker reaches its successor.
        path = self._folder / f"{self._plan.socket_stem}-{self._num_lives}.sock"
        address = f"ipc://{path}"
        self._channel = Channel.bound(self._context, address, self._receive)
        try:
            self._child = await Child.spawn(self._plan.command, self._plan.environment, self._worker_log.take)
            try:
                await self._accompany(self._child, address)
            except asyncio.CancelledError:
                self._refuse_all()
                raise
            finally:
                self._client.detach(f"worker {self._plan.name} {self._cause()}")
                if not await self._child.end(self._patience.stop_s):
                    self._log.warning("worker_not_stopped", waited_s=self._patience.stop_s)
        finally:
            self._child = None
            self._channel.close()
            path.unlink(missing_ok=True)
        return Life(started_at, self._ready_at, self._clock.now())

    async def _accompany(self, child: Child, address: str) -> None:
        """Return when the process has ended, after its requests failed and its last lines were read."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch(child, address))
            await child.wait()
            self._client.detach(f"worker {self._plan.name} {self._cause()}")
            watch.cancel()
        await child.wait_last_lines()
        self._last_cause = self._cause()
        self._log.warning("worker_ended", pid=child.pid, reason=self._last_cause)

    async def _watch(self, child: Child, address: str) -> None:
        """Hand over the setup, wait until the worker is ready, then kill it when it no longer answers."""
        child.write(self._plan.setup(address))
        try:
            async with asyncio.timeout(self._patience.start_s):
                await self._ready.wait()
        except TimeoutError:
            self._kill(child, f"was not ready within {self._patience.start_s:.1f} s")
            return
        num_sent = 0
        # Counted in pings, not in seconds: a gateway that was itself suspended must not blame the worker.
        while num_sent - self._answered_ping < self._patience.max_unanswered_pings:
            num_sent += 1
            if self._channel is not None:
                self._channel.send(encode(Ping(num_sent)))
            await asyncio.sleep(self._patience.ping_interval_s)
        self._kill(child, f"left {self._patience.max_unanswered_pings} pings unanswered")

    def _receive(self, frame: bytes) -> None:
        try:
            message = decode_from_worker(frame)
        except MalformedMessage as error:
            self._log.warning("frame_dropped", reason=str(error))
            return
        match message:
            case Reply():
                self._client.accept(message)
            case Pong(nonce=nonce):
                self._answered_ping = max(self._answered_ping, nonce)
            case StartFailed():
                self._start_failed = message
            case Ready():
                self._on_ready()

    def _on_ready(self) -> None:
        if self._channel is None or self._ready.is_set():
            return
        self._ready_at = self._clock.now()
        self._was_ready = True
        self._state = "ready"
        self._ready.set()
        self._client.attach(self._channel.send)
        pid = None if self._child is None else self._child.pid
        self._log.info("worker_ready", pid=pid, stages=self._plan.stages)

    def _kill(self, child: Child, reason: str) -> None:
        self._log.error("worker_killed", pid=child.pid, reason=reason)
        self._killed_because = reason
        child.signal(signal.SIGKILL)

    # --- endings -----------------------------------------------------------------------------

    def _cause(self) -> str:
        """Return what happened to the worker, as the end of a sentence."""
        if self._killed_because is not None:
            return self._killed_because
        status = None if self._child is None else self._child.status
        return "is being stopped" if status is None else exit_text(status)

    def _refuse_all(self) -> None:
        self._client.refuse(RequestCancelled(f"worker {self._plan.name} is stopped"))

    def _tells_why(self) -> bool:
        """Whether the worker told at its very first start what is wrong: it would tell the same again."""
        return self._start_failed is not None and not self._was_ready

    def _failure(self) -> WorkerStartFailed:
        name, told = self._plan.name, self._start_failed
        if told is not None:
            return WorkerStartFailed(f"worker {name}: {told.message}", hint=told.hint, exit_code=told.exit_code)
        times = self._patience.restarts.max_failed_starts
        lines = "\n       ".join(self._worker_log.tail()[-TOLD_LINES:]) or "it wrote nothing"
        return WorkerStartFailed(
            f"worker {name} failed to start {times} times; the last one {self._last_cause}:\n       {lines}",
            hint="`voicectl models verify` tells whether a model's file is damaged",
        )

    def _fail(self, error: WorkerStartFailed) -> None:
        self._state = "failed"
        self._log.error("worker_failed", reason=error.message)
        self._client.refuse(error)
