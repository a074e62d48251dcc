"""One run of a worker: its process, its socket, and what it said. Knows no restart and no request."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog

from voicectl.core.clock import MonotonicClock
from voicectl.core.sections.hardware import Stage
from voicectl.engine.channel import Channel, ZmqContext
from voicectl.engine.child import Child, exit_text
from voicectl.engine.launch import GO_LINE
from voicectl.engine.messages import (
    MalformedMessage,
    MetricFamily,
    Ping,
    Pong,
    Ready,
    Reply,
    StartFailed,
    decode_from_worker,
    encode,
)
from voicectl.engine.priority import run_idle, run_normally
from voicectl.engine.restarts import Life, RestartPolicy

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """How to start a worker. `setup` makes the first line of its stdin: from its address, and whether it is held."""

    name: str
    stages: tuple[Stage, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    setup: Callable[[str, bool], bytes]
    socket_stem: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the supervisor waits: for a start, for pongs, for a worker to end, before it starts a spare."""

    start_s: float = 60.0
    ping_interval_s: float = 1.0
    max_unanswered_pings: int = 5
    stop_s: float = 3.0
    spare_after_s: float = 2.0
    restarts: RestartPolicy = field(default_factory=RestartPolicy)


class WorkerProcess:
    """A worker process from its start to its end. `held` ones wait for `go` before they load their models."""

    def __init__(
        self,
        plan: WorkerPlan,
        address_path: Path,
        on_line: Callable[[bytes], None],
        on_reply: Callable[[Reply], None],
        *,
        held: bool = False,
    ) -> None:
        self._plan = plan
        self._path = address_path
        self._on_line = on_line
        self._on_reply = on_reply
        self._held = held
        self._idle = False
        self._clock = MonotonicClock()
        self._log = log.bind(worker=plan.name)
        self._channel: Channel | None = None
        self._child: Child | None = None
        self._started_at = self._clock.now()
        self._ready_at: float | None = None
        self._killed_because: str | None = None
        self._num_pings = 0
        self._answered_ping = 0
        self.ready: Final = asyncio.Event()
        self.start_failed: StartFailed | None = None
        self.metrics: tuple[MetricFamily, ...] = ()

    @property
    def pid(self) -> int | None:
        """The process id; None before the start."""
        return None if self._child is None else self._child.pid

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._child is not None and self._child.status is not None

    async def start(self, context: ZmqContext, *, idle: bool = False) -> None:
        """Bind the socket and start the process, `idle` until it is ready or wanted. Raises OSError."""
        # A socket of its own a run: nothing that was meant for a dead worker reaches its successor.
        address = f"ipc://{self._path}"
        self._channel = Channel.bound(context, address, self._receive)
        try:
            self._child = await Child.spawn(self._plan.command, self._plan.environment, self._on_line)
            if idle:
                self._idle = True
                run_idle(self._child.pid)
            self._child.write(self._plan.setup(address, self._held))
        except BaseException:
            if self._child is None:
                self._close_socket()
            raise

    def go(self) -> None:
        """Let a held process load its models; the time to its readiness counts from now."""
        self._started_at = self._clock.now()
        self._run_normally()
        if self._ready_at is not None:
            # It serves only from now on; what it did as a spare redeems nothing.
            self._ready_at = self._started_at
        if self._held and self._child is not None:
            self._held = False
            self._child.write(GO_LINE)

    def send(self, frame: bytes) -> bool:
        """Hand a frame to the process without waiting; False when it does not take it."""
        return self._channel is not None and self._channel.send(frame)

    def ping(self) -> int:
        """Ask whether it lives; return how many such questions are unanswered."""
        self._num_pings += 1
        self.send(encode(Ping(self._num_pings)))
        return self._num_pings - self._answered_ping

    def kill(self, reason: str) -> None:
        """End it at once, because of `reason`."""
        self._log.error("worker_killed", pid=self.pid, reason=reason)
        self._killed_because = reason
        if self._child is not None:
            self._child.signal(signal.SIGKILL)

    async def wait(self) -> None:
        """Return when the process has ended."""
        if self._child is not None:
            await self._child.wait()

    async def wait_last_lines(self) -> None:
        """Return when what an ended process wrote has been read."""
        if self._child is not None:
            await self._child.wait_last_lines()

    async def end(self, stop_s: float) -> None:
        """Ask the process to end, end it after `stop_s` seconds, and remove its socket."""
        try:
            if self._child is not None and not await self._child.end(stop_s):
                self._log.warning("worker_not_stopped", pid=self.pid, waited_s=stop_s)
        finally:
            self._close_socket()

    def cause(self) -> str:
        """Return what happened to the process, as the end of a sentence."""
        if self._killed_because is not None:
            return self._killed_because
        status = None if self._child is None else self._child.status
        return "is being stopped" if status is None else exit_text(status)

    def life(self) -> Life:
        """Return the run as restarts are decided by it; to be called at its end."""
        return Life(self._started_at, self._ready_at, self._clock.now())

    def _run_normally(self) -> None:
        if self._idle and self._child is not None and self._child.status is None:
            self._idle = False
            run_normally(self._child.pid)

    def _close_socket(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._path.unlink(missing_ok=True)

    def _receive(self, frame: bytes) -> None:
        try:
            message = decode_from_worker(frame)
        except MalformedMessage as error:
            self._log.warning("frame_dropped", reason=str(error))
            return
        match message:
            case Reply():
                self._on_reply(message)
            case Pong(nonce=nonce, metrics=metrics):
                self._answered_ping = max(self._answered_ping, nonce)
                self.metrics = metrics
            case StartFailed():
                self.start_failed = message
            case Ready():
                if not self.ready.is_set():
                    self._run_normally()
                    self._ready_at = self._clock.now()
                    self.ready.set()
