"""Keeps one worker alive: starts it, watches its heart, replaces it, holds a spare, and says how it is."""

import asyncio
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import structlog
import zmq

from voicectl.core.clock import MonotonicClock
from voicectl.core.errors import EngineError, RequestCancelled
from voicectl.core.sections.hardware import Stage
from voicectl.engine.channel import ZmqContext
from voicectl.engine.client import WorkerClient
from voicectl.engine.messages import MetricFamily, Reply, StartFailed
from voicectl.engine.priority import can_idle
from voicectl.engine.restarts import Life, next_restart
from voicectl.engine.workerlog import WorkerLog
from voicectl.engine.workerprocess import Patience, WorkerPlan, WorkerProcess

__all__ = ["Patience", "Spare", "State", "Supervisor", "WorkerPlan", "WorkerStartFailed", "WorkerState"]

State = Literal["starting", "ready", "restarting", "failed", "stopped"]
Spare = Literal["none", "started", "loaded"]

KEPT_LIVES: Final = 16
TOLD_LINES: Final = 5
MAX_LOST_SPARES: Final = 3
"""A spare that dies so often before it is needed is done without until the next restart."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """How a worker is. `restarts` counts its starts after the first, `queued` its open requests.

    `last_exit` says how it ended last, `metrics` is what it measured a second ago, `spare` tells whether
    another process waits to take its place, as prepared as it is to be (None where none is wanted), `fallback`
    whether it only stands in for another worker.
    """

    name: str
    stages: tuple[Stage, ...]
    state: State
    pid: int | None
    restarts: int
    queued: int
    metrics: tuple[MetricFamily, ...] = ()
    last_exit: str | None = None
    spare: bool | None = None
    fallback: bool = False


class WorkerStartFailed(EngineError):
    """A worker cannot do its work; carries the exit code of the worker's own error."""

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class Supervisor:
    """Owns the processes of one worker, and tells its client when to send."""

    def __init__(
        self,
        plan: WorkerPlan,
        client: WorkerClient,
        context: ZmqContext,
        folder: Path,
        patience: Patience,
        *,
        spare: Spare = "none",
        fallback: bool = False,
    ) -> None:
        self._plan = plan
        self._client = client
        self._context = context
        self._folder = folder
        self._patience = patience
        self._spare_kind = spare
        self._fallback = fallback
        self._clock = MonotonicClock()
        self._log = log.bind(worker=plan.name)
        self._worker_log = WorkerLog(plan.name)
        self._state: State = "starting"
        self._process: WorkerProcess | None = None
        self._spare: WorkerProcess | None = None
        self._num_lost_spares = 0
        self._lives: deque[Life] = deque(maxlen=KEPT_LIVES)
        self._num_lives = 0
        self._num_sockets = 0
        self._was_ready = False
        self._last_exit: str | None = None

    def state(self) -> WorkerState:
        """Return how the worker is now."""
        process = self._process
        return WorkerState(
            name=self._plan.name,
            stages=self._plan.stages,
            state=self._state,
            pid=None if process is None else process.pid,
            restarts=max(0, self._num_lives - 1),
            queued=self._client.num_open,
            metrics=() if process is None else process.metrics,
            last_exit=self._last_exit,
            spare=self._spare_waits(),
            fallback=self._fallback,
        )

    async def run(self) -> None:
        """Keep the worker alive until cancelled, or until it turns out that it cannot be started at all."""
        try:
            await self._keep_alive()
        except Exception as error:
            log.exception("supervisor_failed", worker=self._plan.name)
            self._fail(WorkerStartFailed(f"worker {self._plan.name}: {type(error).__name__}: {error}"))
        finally:
            if self._spare is not None:
                await self._spare.end(self._patience.stop_s)
            if self._state != "failed":
                self._state = "stopped"
                self._refuse_all()

    async def _keep_alive(self) -> None:
        while True:
            told = await self._run_once()
            restart = next_restart(list(self._lives), self._patience.restarts)
            if restart.failed or (told is not None and not self._was_ready):
                self._fail(self._failure(told))
                if not self._was_ready:
                    # It never worked, or said at its very first start why it cannot: it would say so again.
                    return
            elif self._state != "failed":
                self._state = "restarting"
            self._log.warning("worker_restarting", delay_s=restart.delay_s, restarts=self._num_lives)
            await asyncio.sleep(restart.delay_s)

    # --- one life ----------------------------------------------------------------------------

    async def _run_once(self) -> StartFailed | None:
        """Run a process to its end; return what it said when it could not start."""
        begun_at = self._clock.now()
        try:
            process = await self._next_process()
        except (OSError, zmq.ZMQError) as error:
            if not self._was_ready:
                raise
            # The host is short of something, which may pass.
            self._last_exit = f"could not be started: {error}"
            self._lives.append(Life(begun_at, None, self._clock.now()))
            return None
        try:
            await self._live(process)
        finally:
            self._process = None
        self._lives.append(process.life())
        return process.start_failed

    async def _next_process(self) -> WorkerProcess:
        """Return the spare, or a new process."""
        self._num_lives += 1
        self._num_lost_spares = 0
        spare, self._spare = self._spare, None
        if spare is not None:
            if not spare.ended:
                spare.go()
                return spare
            await spare.end(self._patience.stop_s)
        process = self._new(held=False)
        await process.start(self._context)
        return process

    def _new(self, *, held: bool) -> WorkerProcess:
        self._num_sockets += 1
        path = self._folder / f"{self._plan.socket_stem}-{self._num_sockets}.sock"

        def accept(reply: Reply) -> None:
            # A process that was replaced while it still spoke has nothing to say any more.
            if self._process is process:
                self._client.accept(reply)

        process = WorkerProcess(self._plan, path, self._worker_log.take, accept, held=held)
        return process

    async def _live(self, process: WorkerProcess) -> None:
        """Accompany a process to its end, whoever ends it."""
        self._process = process
        try:
            await self._accompany(process)
        except asyncio.CancelledError:
            self._refuse_all()
            raise
        finally:
            self._client.detach(f"worker {self._plan.name} {process.cause()}")
            await process.end(self._patience.stop_s)

    async def _accompany(self, process: WorkerProcess) -> None:
        """Return when the process has ended, after its requests failed."""
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch(process))
            await process.wait()
            self._client.detach(f"worker {self._plan.name} {process.cause()}")
            watch.cancel()
        if not process.ready.is_set():
            # Its last lines say why; one that was ready is replaced first.
            await process.wait_last_lines()
        self._last_exit = process.cause()
        self._log.warning("worker_ended", pid=process.pid, reason=self._last_exit)

    async def _watch(self, process: WorkerProcess) -> None:
        """Wait until the worker is ready, then see that it answers and has a spare; kill it when it does not."""
        try:
            async with asyncio.timeout(self._patience.start_s):
                await process.ready.wait()
        except TimeoutError:
            process.kill(f"was not ready within {self._patience.start_s:.1f} s")
            return
        self._on_ready(process)
        ready_at = self._clock.now()
        # Counted in pings, not in seconds: a gateway that was itself suspended must not blame the worker.
        while process.ping() <= self._patience.max_unanswered_pings:
            await asyncio.sleep(self._patience.ping_interval_s)
            if self._clock.now() - ready_at >= self._patience.spare_after_s:
                await self._keep_spare()
        process.kill(f"left {self._patience.max_unanswered_pings} pings unanswered")

    def _on_ready(self, process: WorkerProcess) -> None:
        self._was_ready = True
        self._state = "ready"
        self._client.attach(process.send)
        self._log.info("worker_ready", pid=process.pid, stages=self._plan.stages)

    # --- the spare ---------------------------------------------------------------------------

    def _spare_waits(self) -> bool | None:
        if self._spare_kind == "none":
            return None
        spare = self._spare
        if spare is None or spare.ended:
            return False
        return self._spare_kind == "started" or spare.ready.is_set()

    async def _keep_spare(self) -> None:
        """See that a spare waits, and still answers if it has its models."""
        spare = self._spare
        if spare is not None:
            if not spare.ended:
                if spare.ready.is_set() and spare.ping() > self._patience.max_unanswered_pings:
                    spare.kill(f"as a spare left {self._patience.max_unanswered_pings} pings unanswered")
                return
            self._spare = None
            self._num_lost_spares += 1
            self._log.warning("spare_ended", reason=spare.cause())
            await spare.end(self._patience.stop_s)
        if self._spare_kind != "none" and self._num_lost_spares < MAX_LOST_SPARES:
            spare = self._new(held=self._spare_kind == "started")
            try:
                # Callers come first: a spare prepares itself on what they leave of the processor.
                await spare.start(self._context, idle=can_idle())
            except (OSError, zmq.ZMQError) as error:
                # The host is short of something; the worker itself runs.
                self._num_lost_spares += 1
                self._log.warning("spare_not_started", reason=str(error))
            else:
                self._spare = spare

    # --- endings -----------------------------------------------------------------------------

    def _refuse_all(self) -> None:
        self._client.refuse(RequestCancelled(f"worker {self._plan.name} is stopped"))

    def _failure(self, told: StartFailed | None) -> WorkerStartFailed:
        name = self._plan.name
        if told is not None:
            return WorkerStartFailed(f"worker {name}: {told.message}", hint=told.hint, exit_code=told.exit_code)
        times = self._patience.restarts.max_failed_starts
        lines = "\n       ".join(self._worker_log.tail()[-TOLD_LINES:]) or "it wrote nothing"
        return WorkerStartFailed(
            f"worker {name} failed to start {times} times; the last one {self._last_exit}:\n       {lines}",
            hint="`voicectl models verify` tells whether a model's file is damaged",
        )

    def _fail(self, error: WorkerStartFailed) -> None:
        self._state = "failed"
        self._log.error("worker_failed", reason=error.message)
        self._client.refuse(error)
