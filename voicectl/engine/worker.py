"""The worker process: loads its stages, serves requests over one channel, ends with its gateway.

Started as `python -m voicectl.engine.worker` by the supervisor, which writes the setup to its stdin
and keeps that open: its end means that the gateway is gone.
"""

import asyncio
import ctypes
import faulthandler
import gc
import importlib
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NoReturn

import structlog
import zmq
from prometheus_client import CollectorRegistry

from voicectl.core import log as logging_setup
from voicectl.core.errors import VoicectlError
from voicectl.core.profile import Profile
from voicectl.core.sections.hardware import Worker
from voicectl.engine.channel import Channel, ZmqContext
from voicectl.engine.cudalibraries import load_cuda_libraries
from voicectl.engine.launch import GO_LINE, MAX_SETUP_BYTES, WorkerSetup, read_setup
from voicectl.engine.messages import (
    Body,
    Cancel,
    Failed,
    Forget,
    Generate,
    MalformedMessage,
    Ping,
    Pong,
    Ready,
    Reply,
    ReplyBody,
    Request,
    ScoreTurn,
    StartFailed,
    Synthesize,
    ToWorker,
    Transcribe,
    Wake,
    decode_to_worker,
    encode,
)
from voicectl.engine.priority import stand_back
from voicectl.engine.snapshot import snapshot, worker_registry
from voicectl.engine.stage import Job, MayBreak, StageRuntime, StageSetup

Loader = Callable[[StageSetup], StageRuntime]

STAGES: Final[Mapping[str, str]] = {
    "stt": "voicectl.engine.stt.stage:load",
    "turn": "voicectl.engine.turn.stage:load",
    "llm": "voicectl.engine.llm.stage:load",
    "tts": "voicectl.engine.tts.stage:load",
}
"""Where each stage's loader lives; a worker imports only its own."""
STAGE_OF: Final[Mapping[type[Body], str]] = {
    Transcribe: "stt",
    ScoreTurn: "turn",
    Generate: "llm",
    Forget: "llm",
    Wake: "llm",
    Synthesize: "tts",
}
COMPUTES_ON_GPU: Final = frozenset({"stt", "llm"})
"""Stages whose libraries may be compiled for GPUs; the others always run on the processor."""
LINGER_S: Final = 0.3
"""Time for the last replies to leave."""
SWITCH_INTERVAL_S: Final = 0.0005
"""How long a stage's thread may keep the event loop from the interpreter; Python's own 5 ms are a reply late."""
BROKEN_STATUS: Final = 70
"""Exit status of a worker one of whose stages told that it is broken."""
_PR_SET_PDEATHSIG: Final = 1

log = structlog.get_logger(__name__)


class WorkerLoop:
    """Routes requests to stages and their replies, from any thread, back to the gateway."""

    def __init__(self, metrics: CollectorRegistry | None = None, on_broken: Callable[[], None] | None = None) -> None:
        """Each pong carries what `metrics` holds; `on_broken` is called when a stage cannot go on."""
        self._metrics = metrics or CollectorRegistry(auto_describe=True)
        self._on_broken = on_broken
        self._stages: Mapping[str, StageRuntime] = {}
        self._send: Callable[[bytes], bool] = lambda _: False
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._outbox: list[bytes] = []

    def open(self, stages: Mapping[str, StageRuntime], send: Callable[[bytes], bool]) -> None:
        """Serve `stages` from now on; `send` hands a frame to the channel, False when it is full."""
        self._stages = stages
        self._send = send

    def receive(self, frame: bytes) -> None:
        """Act on a frame from the gateway; a malformed one is logged and dropped."""
        try:
            message = decode_to_worker(frame)
        except MalformedMessage as error:
            log.warning("frame_dropped", reason=str(error))
            return
        try:
            self._act(message)
        except Exception:
            log.exception("message_failed", message=type(message).__name__)

    def emit(self, request_id: int, body: ReplyBody) -> None:
        """Send a reply. May be called from any thread; all that come before the loop wakes leave together."""
        try:
            frame = encode(Reply(request_id, body))
        except (TypeError, ValueError, OverflowError) as error:
            log.exception("reply_not_encodable", request_id=request_id, body=type(body).__name__)
            frame = encode(Reply(request_id, Failed("internal", f"{type(body).__name__} cannot be sent: {error}")))
        self._put(frame)

    def flush(self) -> None:
        """Hand all waiting frames to the channel."""
        with self._lock:
            frames, self._outbox = self._outbox, []
        num_lost = sum(not self._send(frame) for frame in frames)
        if num_lost:
            # The gateway has not read for thousands of frames; its requests end by their deadlines.
            log.error("replies_dropped", count=num_lost)

    def close(self) -> None:
        """Close all stages and send their last replies."""
        for name, stage in self._stages.items():
            try:
                stage.close()
            except Exception:
                log.exception("stage_not_closed", stage=name)
        self.flush()

    def _act(self, message: ToWorker) -> None:
        match message:
            case Request():
                self._submit(message)
            case Cancel(request_id=request_id):
                for stage in self._stages.values():
                    stage.cancel(request_id)
            case Ping(nonce=nonce):
                self._pong(nonce)

    def _pong(self, nonce: int) -> None:
        for name, stage in self._stages.items():
            reason = stage.broken() if isinstance(stage, MayBreak) else None
            if reason is not None and self._on_broken is not None:
                log.error("stage_broken", stage=name, reason=reason)
                self._on_broken()
        queued = sum(stage.queued() for stage in self._stages.values())
        self._put(encode(Pong(nonce, queued, snapshot(self._metrics))))

    def _put(self, frame: bytes) -> None:
        with self._lock:
            self._outbox.append(frame)
            is_first = len(self._outbox) == 1
        if is_first:
            try:
                self._loop.call_soon_threadsafe(self.flush)
            except RuntimeError:
                # The loop has ended, and with it the gateway's interest.
                log.debug("reply_after_end")

    def _submit(self, request: Request) -> None:
        name = STAGE_OF[type(request.body)]
        stage = self._stages.get(name)
        if stage is None:
            kind = type(request.body).__name__
            message = f"this worker runs {', '.join(self._stages)}, none of which serves {kind}"
            self.emit(request.request_id, Failed("rejected", message))
            return
        if not math.isfinite(request.timeout_s):
            self.emit(request.request_id, Failed("rejected", f"a timeout of {request.timeout_s} s is no time"))
            return
        request_id = request.request_id
        job = Job(
            request_id=request_id,
            priority=request.priority,
            deadline_at=time.monotonic() + request.timeout_s,
            body=request.body,
            emit=lambda body: self.emit(request_id, body),
        )
        try:
            stage.submit(job)
        except Exception as error:
            log.exception("submit_failed", stage=name, request_id=request_id)
            self.emit(request_id, Failed("internal", f"{type(error).__name__}: {error}"))


def main(registry: Mapping[str, str | Loader] = STAGES) -> NoReturn:
    """Run a worker to its end, then leave without the destructors of native libraries, which may hang."""
    # Ctrl-C in a terminal is for the gateway, which stops its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    line = sys.stdin.buffer.readline(MAX_SETUP_BYTES)
    if not line.endswith(b"\n"):
        sys.exit("a worker is started by the gateway (`voicectl serve`), which writes its setup to stdin")
    setup = read_setup(line)
    logging_setup.configure(json=True, level=setup.log_level)
    _die_with(setup.gateway_pid)
    if setup.held:
        _wait_for_go(setup, registry)
    status = asyncio.run(_serve(setup, registry))
    sys.stderr.flush()
    os._exit(status)


def _wait_for_go(setup: WorkerSetup, registry: Mapping[str, str | Loader]) -> None:
    """Import what the stages need, then wait until this spare is wanted; ends with the gateway."""
    for name in Worker.model_validate(setup.worker).stages:
        try:
            _loader(registry[name])
        except Exception:
            # Told when it is wanted, as any other failure to load.
            log.exception("stage_not_imported", stage=name)
    gc.collect()
    if sys.stdin.buffer.readline(len(GO_LINE)) != GO_LINE:
        os._exit(0)


async def _serve(setup: WorkerSetup, registry: Mapping[str, str | Loader]) -> int:
    stop = asyncio.Event()
    status = 0

    def broken() -> None:
        nonlocal status
        status = BROKEN_STATUS
        stop.set()

    context: ZmqContext = zmq.Context()
    metrics = worker_registry()
    worker_loop = WorkerLoop(metrics, broken)
    channel = Channel.connected(context, setup.address, worker_loop.receive)
    try:
        worker = Worker.model_validate(setup.worker)
        # Blocks the loop, which has nothing else to do yet; until it runs, SIGTERM ends the process at once.
        stages = _load(setup, worker, registry, metrics)
    except Exception as error:
        log.exception("worker_start_failed")
        channel.send(encode(_start_failure(error)))
        channel.close(linger_s=LINGER_S)
        context.term()
        return 1
    worker_loop.open(stages, channel.send)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stop.set)
    gc.collect()
    gc.freeze()
    # Only now: all workers of a host load at the same time, and nobody waits for this one last.
    stand_back(worker.niceness)
    channel.send(encode(Ready(os.getpid(), tuple(stages))))
    await stop.wait()
    asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
    worker_loop.close()
    channel.close(linger_s=LINGER_S)
    context.term()
    return status


def _load(
    setup: WorkerSetup, worker: Worker, registry: Mapping[str, str | Loader], metrics: CollectorRegistry
) -> dict[str, StageRuntime]:
    profile = Profile.model_validate(setup.profile)
    if not COMPUTES_ON_GPU.isdisjoint(worker.stages):
        # Before llama.cpp is imported: where it is compiled for GPUs, it does not load without them.
        load_cuda_libraries()
    stages: dict[str, StageRuntime] = {}
    for name in worker.stages:
        started_at = time.monotonic()
        load = _loader(registry[name])
        stages[name] = load(StageSetup(profile, worker, Path(setup.model_roots[name]), metrics))
        log.debug("stage_loaded", stage=name, duration_s=round(time.monotonic() - started_at, 3))
    return stages


def _loader(entry: str | Loader) -> Loader:
    if not isinstance(entry, str):
        return entry
    module, _, name = entry.partition(":")
    loader: Loader = getattr(importlib.import_module(module), name)
    return loader


def _start_failure(error: Exception) -> StartFailed:
    if isinstance(error, VoicectlError):
        return StartFailed(error.message, error.hint, error.exit_code)
    return StartFailed(f"{type(error).__name__}: {error}")


def _die_with(gateway_pid: int) -> None:
    """Have the kernel end this process with its gateway, even while native code holds the interpreter."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != gateway_pid:
        os._exit(0)


if __name__ == "__main__":
    main()
