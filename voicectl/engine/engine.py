"""The engine as the gateway sees it: four ports, their workers behind them, one start and one end."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, get_args

import msgspec
import zmq

from voicectl.core.clock import MonotonicClock
from voicectl.core.errors import EngineError
from voicectl.core.ports import LanguageModel, Synthesizer, Transcriber, TurnDetector
from voicectl.core.profile import Profile, fallback_role
from voicectl.core.sections.hardware import Stage, Worker
from voicectl.engine.channel import ZmqContext
from voicectl.engine.client import WorkerClient
from voicectl.engine.health import EngineHealth
from voicectl.engine.launch import WorkerSetup, setup_line, with_stages, worker_environment
from voicectl.engine.probing import Prober
from voicectl.engine.restarts import RestartPolicy
from voicectl.engine.sockets import socket_folder
from voicectl.engine.stageports import StagePorts
from voicectl.engine.supervisor import Patience, Supervisor, WorkerPlan, WorkerStartFailed, WorkerState

ALL_STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
# -P: what lies in the current folder must not pass for a module of ours.
WORKER_COMMAND: Final = (sys.executable, "-P", "-m", "voicectl.engine.worker")
REQUESTS_A_STAGE: Final = 2
"""Requests a client admits for each place in a stage's queue: the stage itself should do the refusing."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What tests and tools change: the program of a worker, its patience, its log level, the sockets' folder.

    Without `standby`, no spare processes and no phrases are kept ready, as for a single question.
    """

    command: Sequence[str] = WORKER_COMMAND
    patience: Patience | None = None
    log_level: str = "info"
    runtime_folder: Path | None = None
    standby: bool = True


class Engine:
    """The models of a profile in their worker processes, as an async context manager.

    `model_roots` are the verified folders by role, as `Profile.model_names` has them. With `stages`, only
    those are started. Start and close it in the same task.
    """

    def __init__(
        self,
        profile: Profile,
        model_roots: Mapping[str, Path],
        *,
        stages: Sequence[Stage] = ALL_STAGES,
        options: EngineOptions | None = None,
    ) -> None:
        self._profile = profile
        self._model_roots = model_roots
        self._options = options or EngineOptions()
        placed = (with_stages(worker, tuple(stages)) for worker in profile.workers)
        self._workers = [worker for worker in placed if worker is not None]
        depth = profile.server.queue_depth + profile.server.max_sessions
        self._clients = {
            worker.name: WorkerClient(
                worker.name,
                max_requests=REQUESTS_A_STAGE * depth * len(worker.stages),
                max_wait_s=profile.breakers.worker_wait_s,
            )
            for worker in self._workers
        }
        self._patience = self._options.patience or Patience(
            start_s=profile.timeouts.worker_start_s,
            restarts=RestartPolicy(retry_start_s=profile.breakers.retry_start_s),
        )
        self._clock = MonotonicClock()
        self._ports = StagePorts(profile, self._workers, self._clients, self._clock)
        self._supervisors: dict[str, Supervisor] = {}
        self._runs: list[asyncio.Task[None]] = []
        self._group: asyncio.TaskGroup | None = None
        self._resources = ExitStack()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Start all workers at once; return when all are ready.

        Raises EngineError, with the worker's own message and exit code, when one cannot start.
        """
        await self.launch()
        try:
            await self.wait_ready()
        except BaseException:
            await self.close()
            raise

    async def launch(self) -> None:
        """Start all workers at once, and return while they load; requests wait for them. Raises EngineError."""
        if self._group is not None:
            raise EngineError("the engine was started already")
        self._check_roots()
        folder = self._resources.enter_context(socket_folder(self._options.runtime_folder))
        context: ZmqContext = zmq.Context()
        self._resources.callback(context.destroy, linger=0)
        self._group = await asyncio.TaskGroup().__aenter__()
        for index, worker in enumerate(self._workers):
            plan = self._plan(worker, stem=str(index))
            supervisor = Supervisor(
                plan,
                self._clients[worker.name],
                context,
                folder,
                self._patience,
                spare=worker.spare if self._options.standby else "none",
                fallback=worker.fallback,
            )
            self._supervisors[worker.name] = supervisor
            self._runs.append(self._group.create_task(supervisor.run(), name=f"supervise {worker.name}"))

    async def wait_ready(self) -> None:
        """Return when all workers are ready, and have begun to see that they stay so.

        Raises EngineError, with the worker's own message and exit code, when one cannot start.
        """
        if self._group is None:
            raise EngineError("the engine was not started")
        await self._all_ready(self._patience.start_s)
        prober = Prober(self._ports.probes, self._clock)
        self._runs.append(self._group.create_task(prober.run(), name="probe stages"))
        if self._options.standby:
            self._runs.append(self._group.create_task(self._ports.prepare_phrases(), name="prepare phrases"))

    async def close(self) -> None:
        """Stop all workers and remove what they used; requests in flight are cancelled. May be called again."""
        for run in self._runs:
            run.cancel()
        group, self._group = self._group, None
        try:
            if group is not None:
                await group.__aexit__(None, None, None)
        finally:
            self._runs.clear()
            self._resources.close()

    @property
    def transcriber(self) -> Transcriber:
        """Speech to text."""
        return self._ports.transcriber

    @property
    def turn_detector(self) -> TurnDetector:
        """End of turn by sound."""
        return self._ports.turn_detector

    @property
    def language_model(self) -> LanguageModel:
        """Text to text."""
        return self._ports.language_model

    @property
    def main_language_model(self) -> LanguageModel:
        """Text to text by the model that the profile names, never by a fallback: what is known by its digest."""
        return self._ports.main_language_model

    @property
    def synthesizer(self) -> Synthesizer:
        """Text to speech."""
        return self._ports.synthesizer

    def states(self) -> dict[str, WorkerState]:
        """Return how each worker is, by name; empty before the start."""
        return {name: supervisor.state() for name, supervisor in self._supervisors.items()}

    def health(self) -> EngineHealth:
        """Return how each stage is: whether it answers, its breakers, its load."""
        return self._ports.health(self.states())

    def prefer_fallbacks(self, wanted: bool) -> None:
        """Send requests to the fallback workers first, where there are any: `Measures.smaller_model`."""
        self._ports.prefer_fallbacks(wanted)

    def _check_roots(self) -> None:
        roles = [_role(worker, stage) for worker in self._workers for stage in worker.stages]
        missing = [role for role in roles if role not in self._model_roots]
        if missing:
            raise EngineError(f"no model folder was given for {', '.join(missing)}")

    def _plan(self, worker: Worker, *, stem: str) -> WorkerPlan:
        models = self._profile.models.model_copy(update={str(stage): name for stage, name in worker.models.items()})
        blank = WorkerSetup(
            profile=self._profile.model_copy(update={"models": models}).model_dump(mode="json"),
            worker=worker.model_dump(mode="json"),
            model_roots={stage: str(self._model_roots[_role(worker, stage)].absolute()) for stage in worker.stages},
            address="",
            gateway_pid=os.getpid(),
            log_level=self._options.log_level,
        )
        return WorkerPlan(
            name=worker.name,
            stages=worker.stages,
            command=tuple(self._options.command),
            environment=worker_environment(self._profile, worker, os.environ),
            setup=lambda address, held: setup_line(msgspec.structs.replace(blank, address=address, held=held)),
            socket_stem=stem,
        )

    async def _all_ready(self, start_s: float) -> None:
        try:
            async with asyncio.timeout(start_s), asyncio.TaskGroup() as waits:
                for client in self._clients.values():
                    waits.create_task(client.wait_ready())
        except BaseExceptionGroup as group:
            raise _first(group) from None
        except TimeoutError:
            late = [name for name, client in self._clients.items() if not client.ready]
            raise WorkerStartFailed(
                f"worker {', '.join(late)} was not ready within {start_s:.1f} s",
                hint="raise timeouts.worker_start_s of the profile, or see the log for what takes so long",
            ) from None


def _role(worker: Worker, stage: Stage) -> str:
    return fallback_role(stage) if stage in worker.models else stage


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
