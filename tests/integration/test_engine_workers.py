"""The engine with real worker processes and real sockets, on stages without models."""

import asyncio
import os
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import structlog

from voicectl.core.config import load_profile
from voicectl.core.errors import DeadlineExceeded, EngineError, RequestCancelled, RequestRejected, WorkerDied
from voicectl.core.ports import ChatRequest, TextDelta
from voicectl.core.profile import Profile
from voicectl.engine.engine import Engine, EngineOptions
from voicectl.engine.restarts import RestartPolicy
from voicectl.engine.supervisor import Patience, WorkerStartFailed

pytestmark = pytest.mark.integration

FAKE = Path(__file__).parent.parent / "fakes" / "engine_stages.py"
FAKE_WORKER = (sys.executable, str(FAKE))
QUICK = Patience(
    start_s=10.0,
    ping_interval_s=0.1,
    max_unanswered_pings=5,
    stop_s=1.0,
    restarts=RestartPolicy(first_delay_s=0.01, max_delay_s=0.05),
)


def profile() -> Profile:
    return load_profile("cpu", environment={})


def options(folder: Path, *, command: tuple[str, ...] = FAKE_WORKER, patience: Patience = QUICK) -> EngineOptions:
    return EngineOptions(command=command, patience=patience, runtime_folder=folder)


def roots(name: str = "fine") -> dict[str, Path]:
    return {stage: Path("/models") / name for stage in ("stt", "llm", "tts", "turn")}


@asynccontextmanager
async def llm_engine(folder: Path, **settings: object) -> AsyncIterator[Engine]:
    async with Engine(profile(), roots(), stages=("llm",), options=options(folder, **settings)) as engine:  # type: ignore[arg-type]
        yield engine


def ask(session_id: str, max_tokens: int = 5) -> ChatRequest:
    return ChatRequest(session_id, (), max_tokens=max_tokens, temperature=0, top_p=1, top_k=1, seed=0)


async def read_all(engine: Engine, request: ChatRequest, timeout_s: float = 5.0) -> list[TextDelta]:
    return [delta async for delta in engine.language_model.generate(request, timeout_s=timeout_s)]


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


def modes(folder: Path) -> list[int]:
    """Return the permissions of what lies in a folder."""
    return [path.stat().st_mode & 0o777 for path in folder.iterdir()]


def num_alive(pids: list[int]) -> int:
    """Return how many of the processes run; a zombie has ended."""
    alive = 0
    for pid in pids:
        try:
            alive += psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            continue
    return alive


async def test_every_port_reaches_its_worker(short_path: Path) -> None:
    async with Engine(profile(), roots(), options=options(short_path)) as engine:
        transcript = await engine.transcriber.transcribe(np.zeros(16000, np.float32), timeout_s=5)
        completeness = await engine.turn_detector.completeness(np.zeros(100, np.float32), timeout_s=5)
        deltas = await read_all(engine, ask("s", max_tokens=3))
        chunks = [chunk async for chunk in engine.synthesizer.synthesize("hello", timeout_s=5)]
        await engine.language_model.forget("s")
        threads = await engine.transcriber.transcribe(np.zeros(1, np.float32), hotwords="environment", timeout_s=5)
        states = engine.states()
    assert transcript.text == "32000"
    assert completeness == 0.75
    assert "".join(delta.text for delta in deltas) == "0 1 2 "
    assert deltas[-1].finish == "stop"
    assert deltas[-1].usage is not None and deltas[-1].usage.completion_tokens == 3
    assert [(len(chunk.pcm), chunk.sample_rate) for chunk in chunks] == [(10, 22050)]
    assert threads.text == str(profile().stt.threads)
    assert {name: state.state for name, state in states.items()} == dict.fromkeys(
        ("stt", "turn", "llm", "tts"), "ready"
    )
    assert len({state.pid for state in states.values()}) == 4


async def test_a_request_waits_for_a_worker_that_still_loads(short_path: Path) -> None:
    engine = Engine(profile(), roots(), stages=("llm",), options=options(short_path))
    await engine.launch()
    try:
        assert engine.states()["llm"].state == "starting"
        assert engine.health().serving
        deltas = await read_all(engine, ask("early", max_tokens=2), timeout_s=10.0)
        await engine.wait_ready()
        assert engine.states()["llm"].state == "ready"
    finally:
        await engine.close()
    assert "".join(delta.text for delta in deltas) == "0 1 "


async def test_close_leaves_no_process_no_task_no_file(short_path: Path) -> None:
    before = asyncio.all_tasks()
    async with Engine(profile(), roots(), options=options(short_path)) as engine:
        pids = [state.pid for state in engine.states().values() if state.pid is not None]
        assert len(pids) == 4
        assert modes(short_path) == [0o700]
        waiting = asyncio.ensure_future(read_all(engine, ask("silent")))
        await until(lambda: engine.states()["llm"].queued == 1)
    with pytest.raises(RequestCancelled, match="llm is stopped"):
        await waiting
    with pytest.raises(EngineError):
        await read_all(engine, ask("later"))
    assert num_alive(pids) == 0
    assert modes(short_path) == []
    assert asyncio.all_tasks() == before
    assert {state.state for state in engine.states().values()} == {"stopped"}


async def test_round_trip_is_short(short_path: Path) -> None:
    async with llm_engine(short_path) as engine:
        times_ms = []
        for _ in range(300):
            started_at = time.perf_counter()
            await engine.language_model.forget("x")
            times_ms.append((time.perf_counter() - started_at) * 1000)
    # On an idle machine 0.1 ms; the bound only catches a polling or sleeping implementation.
    assert statistics.median(times_ms) < 5.0


async def test_closing_a_stream_cancels_its_request(short_path: Path) -> None:
    async with Engine(profile(), roots(), stages=("llm", "stt"), options=options(short_path)) as engine:
        async with aclosing(engine.language_model.generate(ask("endless"), timeout_s=5)) as deltas:  # type: ignore[type-var]
            async for delta in deltas:
                assert delta.text == "more "
                break
        assert engine.states()["llm"].queued == 0
        # The stage no longer emits to the cancelled request, and answers the next one.
        assert len(await read_all(engine, ask("s", max_tokens=2))) == 3


async def test_cancelling_the_task_cancels_its_request(short_path: Path) -> None:
    everything = profile().model_copy(update={"workers": (profile().workers[0],)})
    worker = everything.workers[0].model_copy(update={"stages": ("stt", "llm", "tts", "turn")})
    everything = everything.model_copy(update={"workers": (worker,)})
    async with Engine(everything, roots(), options=options(short_path)) as engine:
        task = asyncio.ensure_future(read_all(engine, ask("silent")))
        await until(lambda: engine.states()["stt"].queued == 1)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        told = await engine.transcriber.transcribe(np.zeros(0, np.float32), hotwords="cancelled", timeout_s=5)
        assert told.text != ""
        assert engine.states()["stt"].queued == 0


async def test_silent_worker_meets_the_local_deadline(short_path: Path) -> None:
    async with llm_engine(short_path) as engine:
        started_at = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=r"llm did not answer within 0\.10 s"):
            await read_all(engine, ask("silent"), timeout_s=0.1)
        assert time.monotonic() - started_at < 2.0


async def test_killed_worker_comes_back_for_its_requests(short_path: Path) -> None:
    async with llm_engine(short_path) as engine:
        task = asyncio.ensure_future(read_all(engine, ask("silent")))
        await until(lambda: engine.states()["llm"].queued == 1)
        pid = engine.states()["llm"].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        # Sent while the worker is away: it waits for the next one.
        assert len(await read_all(engine, ask("s", max_tokens=1))) == 2
        state = engine.states()["llm"]
        # And so does what the dead one was working on.
        assert not task.done()
        await until(lambda: engine.states()["llm"].queued == 1)
        task.cancel()
    assert state.restarts == 1
    assert state.pid != pid


async def test_worker_that_dies_of_a_request_fails_only_that_one(short_path: Path) -> None:
    async with llm_engine(short_path) as engine:
        with pytest.raises(WorkerDied):
            await read_all(engine, ask("die"))
        assert len(await read_all(engine, ask("s", max_tokens=1))) == 2


async def test_hung_worker_is_killed_and_replaced(short_path: Path) -> None:
    async with llm_engine(short_path) as engine:
        with pytest.raises(WorkerDied, match="left 5 pings unanswered"):
            await read_all(engine, ask("hang"), timeout_s=30)
        assert len(await read_all(engine, ask("s", max_tokens=1))) == 2
        # It may have been the request's fault or not: it was tried again.
        assert engine.states()["llm"].restarts == profile().breakers.attempts


async def test_stage_that_raises_answers_and_lives_on(short_path: Path) -> None:
    async with Engine(profile(), roots(), stages=("llm", "stt"), options=options(short_path)) as engine:
        with pytest.raises(EngineError, match="ValueError: the stage is broken"):
            await read_all(engine, ask("raise"))
        with pytest.raises(EngineError, match="Scored cannot be sent"):
            await engine.transcriber.transcribe(np.zeros(1, np.float32), hotwords="unsendable", timeout_s=5)
        assert len(await read_all(engine, ask("s", max_tokens=1))) == 2
        assert engine.states()["llm"].restarts == 0


async def test_malformed_frames_from_a_worker_are_dropped(short_path: Path) -> None:
    async with llm_engine(short_path, command=(*FAKE_WORKER, "babble")) as engine:
        with structlog.testing.capture_logs() as logs:
            await engine.language_model.forget("x")
            await engine.language_model.forget("y")
    dropped = [entry for entry in logs if entry["event"] == "frame_dropped"]
    assert len(dropped) == 10
    assert {entry["worker"] for entry in dropped} == {"llm"}


async def test_malformed_frames_to_a_worker_are_dropped(short_path: Path) -> None:
    async with llm_engine(short_path) as engine:
        send = engine._clients["llm"]._send
        assert send is not None
        for frame in (b"", b"\xc1", b"x" * 1_000_000, b"\x81\xa4type\xa5Other"):
            assert send(frame)
        assert len(await read_all(engine, ask("s", max_tokens=1))) == 2
        assert engine.states()["llm"].restarts == 0


async def test_lines_of_a_worker_reach_the_log_in_bounds(short_path: Path) -> None:
    async with llm_engine(short_path) as engine:
        with structlog.testing.capture_logs() as logs:
            await read_all(engine, ask("write"))
            await until(lambda: len([entry for entry in logs if entry["event"] == "worker_wrote"]) >= 2)
    lines = [entry["line"] for entry in logs if entry["event"] == "worker_wrote"]
    assert lines[0] == "a native library speaks"
    assert max(map(len, lines)) <= 4000


async def test_a_thousand_requests_are_answered_or_refused(short_path: Path) -> None:
    patient = load_profile("cpu", overrides=["breakers.failures=1000", "breakers.min_requests=1000"], environment={})
    async with Engine(patient, roots(), stages=("llm",), options=options(short_path)) as engine:
        results = await asyncio.gather(
            *(read_all(engine, ask("silent"), timeout_s=0.3) for _ in range(1000)), return_exceptions=True
        )
        kinds = {type(result) for result in results}
        refused = sum(isinstance(result, RequestRejected) for result in results)
        assert kinds == {RequestRejected, DeadlineExceeded}
        # 100 places in the stage; more than 2 x (100 + 4) are refused by the client already.
        assert refused == 900
        answers = await asyncio.gather(*(read_all(engine, ask("s", max_tokens=20)) for _ in range(100)))
        assert {len(answer) for answer in answers} == {21}
        assert engine.states()["llm"].queued == 0


@pytest.mark.parametrize(
    ("model", "message", "exit_code"),
    [
        ("missing", "worker llm: model.bin is not there", 5),
        ("broken", "worker llm: ValueError: bad magic number", 1),
        ("dies", r"failed to start 3 times; the last one ended with status 7:\s+cannot allocate what I need", 1),
    ],
)
async def test_worker_that_cannot_load_says_why(short_path: Path, model: str, message: str, exit_code: int) -> None:
    patience = Patience(
        start_s=10.0, stop_s=1.0, restarts=RestartPolicy(first_delay_s=0.0, max_delay_s=0.0, max_failed_starts=3)
    )
    engine = Engine(profile(), roots(model), stages=("llm",), options=options(short_path, patience=patience))
    with pytest.raises(WorkerStartFailed, match=message) as caught:
        await engine.start()
    assert caught.value.exit_code == exit_code
    assert engine.states()["llm"].state == "failed"
    assert modes(short_path) == []


async def test_worker_that_is_late_is_given_up(short_path: Path) -> None:
    patience = Patience(start_s=0.6, stop_s=0.5)
    engine = Engine(profile(), roots("slow"), stages=("llm",), options=options(short_path, patience=patience))
    with pytest.raises(WorkerStartFailed, match=r"llm was not ready within 0\.6 s"):
        await engine.start()
    assert modes(short_path) == []


async def test_program_that_does_not_exist_is_named(short_path: Path) -> None:
    engine = Engine(profile(), roots(), stages=("llm",), options=options(short_path, command=("/nowhere/worker",)))
    with pytest.raises(WorkerStartFailed, match="/nowhere/worker"):
        await engine.start()


async def test_interrupt_does_not_reach_the_workers(short_path: Path) -> None:
    async with llm_engine(short_path) as engine:
        pid = engine.states()["llm"].pid
        assert pid is not None
        assert os.getpgid(pid) != os.getpgrp()
        os.kill(pid, signal.SIGINT)
        assert len(await read_all(engine, ask("s", max_tokens=1))) == 2
        assert engine.states()["llm"].pid == pid


GATEWAY = """
import asyncio, sys
from pathlib import Path
from voicectl.core import log
from voicectl.core.config import load_profile
from voicectl.engine.engine import Engine, EngineOptions

async def main():
    log.configure(json=True, level="warning")
    roots = {stage: Path("/models/fine") for stage in ("stt", "llm", "tts", "turn")}
    options = EngineOptions(command=(sys.executable, sys.argv[1]), runtime_folder=Path(sys.argv[2]))
    async with Engine(load_profile("cpu", environment={}), roots, options=options) as engine:
        print(*(state.pid for state in engine.states().values()), flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_workers_end_with_a_killed_gateway(short_path: Path) -> None:
    gateway = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", GATEWAY, str(FAKE), str(short_path)), stdout=asyncio.subprocess.PIPE
    )
    assert gateway.stdout is not None
    pids = [int(pid) for pid in (await gateway.stdout.readline()).split()]
    assert len(pids) == 4
    gateway.kill()
    await gateway.wait()
    await until(lambda: num_alive(pids) == 0, within_s=2.0)
    # Nobody was left to remove its sockets: the next gateway does.
    assert len(modes(short_path)) == 1
    async with llm_engine(short_path):
        assert len(modes(short_path)) == 1
    assert modes(short_path) == []
