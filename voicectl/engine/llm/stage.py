"""The language-model stage: one thread that owns the model, fed by commands. Knows no tokens."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, NoReturn, Protocol

import structlog

from voicectl.core.clock import MonotonicClock
from voicectl.core.errors import EngineError
from voicectl.core.sections.engine import LlmSettings
from voicectl.engine.llm.intake import Intake
from voicectl.engine.llm.loop import LoopLimits, StepLoop
from voicectl.engine.llm.metrics import LlmMetrics
from voicectl.engine.llm.prompt import ChatTemplate, PromptBuilder
from voicectl.engine.llm.requantise import requantised
from voicectl.engine.llm.runner import LlamaRunner, RunnerSettings
from voicectl.engine.llm.template import chat_template
from voicectl.engine.messages import Failed, FailureKind, ReplyBody, TextPiece
from voicectl.engine.stage import Job, StageRuntime, StageSetup

CLOSE_TIMEOUT_S: Final = 1.0
"""How long `close` waits for the step in progress."""
LAST_WORDS_S: Final = 0.3
"""Time for the failures of a broken model to reach the gateway before the process ends."""
BROKEN_STATUS: Final = 70
"""Exit status of a worker whose language model broke down."""
MAX_CACHE_TOKENS: Final = 262_144

log = structlog.get_logger(__name__)


class Loop(Protocol):
    """What the thread needs of `loop.StepLoop`, which says what each method does."""

    def has_work(self) -> bool: ...
    def submit(self, job: Job) -> None: ...
    def cancel(self, request_id: int) -> None: ...
    def step(self) -> None: ...
    def reset(self, message: str) -> None: ...
    def fail_all(self, kind: FailureKind, message: str) -> None: ...
    def close(self) -> None: ...


Command = Callable[[Loop], None]


def load(setup: StageSetup) -> StageRuntime:
    """Load the model, prefill the system prompt and warm up. Raises EngineError when that fails."""
    path = model_file(setup.model_root)
    depth = setup.profile.server.queue_depth
    return LlmStage(lambda: _open_loop(path, setup), depth=depth, on_breakdown=end_process)


def end_process() -> NoReturn:
    """End this process, so that the supervisor starts one whose model works."""
    time.sleep(LAST_WORDS_S)
    os._exit(BROKEN_STATUS)


def model_file(root: Path) -> Path:
    """Return the GGUF file of a model folder. Raises EngineError unless there is exactly one."""
    found = sorted(root.glob("*.gguf"))
    if len(found) != 1:
        raise EngineError(
            f"{root}: {len(found)} files end in .gguf, a language model needs exactly one",
            hint="fetch the model with `voicectl models pull`",
        )
    return found[0]


class LlmStage:
    """A `StageRuntime`: `open_loop` is called, and the loop lives, on a thread of its own."""

    def __init__(self, open_loop: Callable[[], Loop], *, depth: int, on_breakdown: Callable[[], object]) -> None:
        """Return when the loop is open; raises what `open_loop` raises.

        `on_breakdown` is called last if the loop fails in a way that it cannot be used any more.
        """
        self._depth = depth
        self._on_breakdown = on_breakdown
        self._commands: SimpleQueue[Command | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._num_open = 0
        self._refusal: Failed | None = None
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=self._work, args=(open_loop, opened), name="llm", daemon=True)
        self._thread.start()
        opened.result()

    def submit(self, job: Job) -> None:
        """Queue a job, or answer it with a failure."""
        with self._lock:
            refusal = self._refusal
            if refusal is None and self._num_open >= self._depth:
                refusal = Failed("rejected", f"{self._num_open} requests wait or run already")
            if refusal is None:
                self._num_open += 1
                counted = self._counted(job)
                self._commands.put(lambda loop: _submit(loop, counted))
        if refusal is not None:
            job.emit(refusal)

    def cancel(self, request_id: int) -> None:
        """Stop a job before its next token; unknown ids are ignored."""
        self._commands.put(lambda loop: loop.cancel(request_id))

    def queued(self) -> int:
        """Return how many jobs wait or run."""
        with self._lock:
            return self._num_open

    def close(self) -> None:
        """Answer all jobs with `Failed("cancelled")` and free the model."""
        self._refuse(Failed("cancelled", "the language model is stopping"))
        self._commands.put(None)
        self._thread.join(CLOSE_TIMEOUT_S)

    def _refuse(self, refusal: Failed) -> None:
        """Answer all later jobs with `refusal`, unless another is set already."""
        with self._lock:
            self._refusal = self._refusal or refusal

    def _counted(self, job: Job) -> Job:
        """Return the job with an emit that also counts its end."""

        def emit(reply: ReplyBody) -> None:
            if not isinstance(reply, TextPiece):
                with self._lock:
                    self._num_open -= 1
            job.emit(reply)

        return Job(job.request_id, job.priority, job.deadline_at, job.body, emit)

    def _work(self, open_loop: Callable[[], Loop], opened: "Future[None]") -> None:
        try:
            loop = open_loop()
        except BaseException as error:  # noqa: BLE001  # raised again by the thread that waits
            opened.set_exception(error)
            return
        opened.set_result(None)
        try:
            while self._obey(loop):
                self._step(loop)
        except Exception:
            log.exception("language_model_broke_down")
            self._refuse(Failed("internal", "the language model broke down and must be loaded again"))
            self._end(loop)
            self._on_breakdown()
        else:
            self._end(loop)

    def _end(self, loop: Loop) -> None:
        """Answer every job that is left and free the model."""
        self._obey_rest(loop)
        try:
            loop.close()
        except Exception:
            log.exception("language_model_not_closed")

    def _obey(self, loop: Loop) -> bool:
        """Carry out all commands, waiting for one while there is nothing to run; False at the end."""
        try:
            command = self._commands.get(block=not loop.has_work())
            while command is not None:
                command(loop)
                command = self._commands.get_nowait()
        except Empty:
            return True
        return False

    def _obey_rest(self, loop: Loop) -> None:
        """Carry out what was queued before a failure, so that every job is answered when the loop closes."""
        while not self._commands.empty():
            command = self._commands.get_nowait()
            if command is not None:
                command(loop)

    def _step(self, loop: Loop) -> None:
        try:
            loop.step()
        except Exception as error:
            log.exception("step_failed")
            loop.reset(f"the language model failed: {type(error).__name__}: {error}")


def _submit(loop: Loop, job: Job) -> None:
    try:
        loop.submit(job)
    except Exception as error:
        log.exception("submit_failed", request_id=job.request_id)
        job.emit(Failed("internal", f"{type(error).__name__}: {error}"))


def _open_loop(path: Path, setup: StageSetup) -> StepLoop:
    llm = setup.profile.llm
    runner = _open_runner(path, setup, llm)
    try:
        intake = Intake(
            PromptBuilder(_template_of(runner), runner.vocabulary),
            context_tokens=min(llm.context_tokens, runner.trained_tokens),
        )
        limits = LoopLimits(
            hot_sessions=llm.hot_sessions,
            cache_tokens=_cache_tokens(llm),
            prefill_tokens=llm.prefill_tokens,
            idle_tokens=llm.idle_tokens,
            parked_bytes=llm.parked_mb * 1_000_000,
        )
        loop = StepLoop(runner, intake, limits, MonotonicClock(), LlmMetrics(setup.metrics))
        loop.warm_up(llm.system_prompt)
    except BaseException:
        runner.close()
        raise
    return loop


def _open_runner(path: Path, setup: StageSetup, llm: LlmSettings) -> LlamaRunner:
    settings = _runner_settings(setup, llm)
    if llm.requantise is None:
        return LlamaRunner(path, settings)
    with requantised(path, llm.requantise, llm.threads) as converted:
        return LlamaRunner(converted, settings)


def _template_of(runner: LlamaRunner) -> ChatTemplate:
    vocabulary = runner.vocabulary
    return chat_template(runner.template(), start_text=vocabulary.start_text(), end_text=vocabulary.end_text())


def _cache_tokens(llm: LlmSettings) -> int:
    """Return the cells to share: room for one whole session at least, and for the prefix that all share."""
    wanted = llm.cache_tokens or min(llm.hot_sessions * llm.context_tokens, MAX_CACHE_TOKENS)
    return max(wanted, llm.context_tokens) + llm.context_tokens // 2


def _runner_settings(setup: StageSetup, llm: LlmSettings) -> RunnerSettings:
    return RunnerSettings(
        # One sequence more than sessions: the shared prefix.
        num_sequences=llm.hot_sessions + 1,
        cache_tokens=_cache_tokens(llm),
        batch_tokens=max(llm.prefill_tokens, llm.hot_sessions + 1),
        threads=llm.threads,
        gpu_layers=llm.gpu_layers if setup.worker.device == "cuda" else 0,
        gpu_index=setup.worker.device_index,
        kv_type=llm.kv_type,
    )
