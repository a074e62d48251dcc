"""What callers notice of workers that die, hang, break or fail: nothing, where another process can answer in time."""

import asyncio
import contextlib
import os
import signal
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from voicectl.core.config import load_profile
from voicectl.core.errors import ConfigError, DeadlineExceeded, EngineError, WorkerDied
from voicectl.core.ports import ChatRequest, LanguageModel, SpeechChunk, TextDelta, Transcript
from voicectl.core.profile import Profile
from voicectl.core.sections.hardware import Stage, Worker
from voicectl.engine.breaker import BreakerOpen
from voicectl.engine.engine import Engine, EngineOptions
from voicectl.engine.restarts import RestartPolicy
from voicectl.engine.resuming import ReplyDiverged
from voicectl.engine.supervisor import Patience, WorkerStartFailed

pytestmark = pytest.mark.integration

FAKE = Path(__file__).parent.parent / "fakes" / "engine_stages.py"
FAKE_WORKER = (sys.executable, str(FAKE))
SILENCE = np.zeros(160, np.float32)
ALL: tuple[Stage, ...] = ("stt", "turn", "llm", "tts")


def patience(*, spare_after_s: float = 60.0, max_failed_starts: int = 5, retry_start_s: float = 0.2) -> Patience:
    restarts = RestartPolicy(
        first_delay_s=0.01, max_delay_s=0.05, max_failed_starts=max_failed_starts, retry_start_s=retry_start_s
    )
    return Patience(start_s=10.0, ping_interval_s=0.1, stop_s=1.0, spare_after_s=spare_after_s, restarts=restarts)


def profile(*overrides: str) -> Profile:
    return load_profile("cpu", overrides=["breakers.open_s=0.1", *overrides], environment={})


@asynccontextmanager
async def engine(
    folder: Path,
    *stages: Stage,
    chosen: Profile | None = None,
    waits: Patience | None = None,
    model: str = "/models/fine",
    standby: bool = True,
) -> AsyncIterator[Engine]:
    roots = dict.fromkeys((*ALL, "fallback.stt", "fallback.llm"), Path(model))
    options = EngineOptions(command=FAKE_WORKER, patience=waits or patience(), runtime_folder=folder, standby=standby)
    async with Engine(chosen or profile(), roots, stages=stages or ALL, options=options) as running:
        yield running


def with_fallback(stage: Stage) -> Profile:
    """Return a profile whose worker "other" stands in for the stage's own."""
    other = Worker(name="other", stages=(stage,), fallback=True, models={stage: "small"})
    usual = profile()
    return usual.model_copy(update={"workers": (*usual.workers, other)})


def pid_of(running: Engine, worker: str) -> int:
    pid = running.states()[worker].pid
    assert pid is not None
    return pid


def kill(running: Engine, worker: str) -> None:
    os.kill(pid_of(running, worker), signal.SIGKILL)


def num_files(folder: Path) -> int:
    return len(list(folder.iterdir()))


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


def ask(session_id: str, max_tokens: int = 5) -> ChatRequest:
    return ChatRequest(session_id, (), max_tokens=max_tokens, temperature=0, top_p=1, top_k=1, seed=0)


async def reply(running: Engine, session_id: str, max_tokens: int = 5, timeout_s: float = 10.0) -> list[TextDelta]:
    return [delta async for delta in running.language_model.generate(ask(session_id, max_tokens), timeout_s=timeout_s)]


async def hear(running: Engine, hotwords: str, timeout_s: float = 10.0) -> Transcript:
    return await running.transcriber.transcribe(SILENCE, hotwords=hotwords, timeout_s=timeout_s)


async def say(running: Engine, text: str, timeout_s: float = 10.0) -> list[SpeechChunk]:
    return [chunk async for chunk in running.synthesizer.synthesize(text, timeout_s=timeout_s)]


async def test_no_transcription_is_lost_when_the_worker_is_killed(tmp_path: Path) -> None:
    async with engine(tmp_path, "stt") as running:
        before = pid_of(running, "stt")
        waiting = [asyncio.ensure_future(hear(running, "slow")) for _ in range(8)]
        await until(lambda: running.states()["stt"].queued == 8)
        await asyncio.sleep(0.05)
        kill(running, "stt")
        texts = {(await one).text for one in waiting}
        state, health = running.states()["stt"], running.health().stages["stt"]
    assert texts == {f"by {state.pid}"}
    assert state.pid != before
    assert state.restarts == 1
    assert state.last_exit == "was ended by signal SIGKILL"
    assert (health.routes[0].breaker.state, health.routes[0].breaker.failures) == ("closed", 0)


async def test_reply_goes_on_where_its_worker_was_killed(tmp_path: Path) -> None:
    async with engine(tmp_path, "llm") as running:
        texts: list[str] = []
        async for delta in running.language_model.generate(ask("steady", 20), timeout_s=10):
            texts.append(delta.text)
            if len(texts) == 5:
                kill(running, "llm")
        assert running.states()["llm"].restarts == 1
    assert "".join(texts) == "".join(f"{number} " for number in range(20))


async def test_reply_that_would_go_on_with_other_words_fails(tmp_path: Path) -> None:
    async with engine(tmp_path, "llm") as running:
        with pytest.raises(ReplyDiverged):
            async for _ in running.language_model.generate(ask("pid", 20), timeout_s=10):
                if running.states()["llm"].restarts == 0:
                    kill(running, "llm")
        assert len(await reply(running, "fine")) == 6


async def test_clause_goes_on_at_the_word_where_its_worker_was_killed(tmp_path: Path) -> None:
    text = "slowly one two three four five six seven eight nine"
    async with engine(tmp_path, "tts", standby=False) as running:
        chunks: list[SpeechChunk] = []
        async for chunk in running.synthesizer.synthesize(text, timeout_s=10):
            chunks.append(chunk)
            if len(chunks) == 4:
                kill(running, "tts")
        assert running.states()["tts"].restarts == 1
    samples = np.frombuffer(b"".join(chunk.pcm for chunk in chunks), "<i2")
    # Each word is heard once and in order; the middle of each tenth of a second is free of the fade.
    assert [int(samples[1600 * word + 800]) for word in range(10)] == [1000 + word for word in range(10)]
    assert len(samples) == 16_000
    marks = [mark for chunk in chunks for mark in chunk.marks]
    assert [text[mark.start : mark.end] for mark in marks] == text.split()
    assert [round(mark.start_s, 3) for mark in marks] == [round(0.1 * word, 3) for word in range(10)]


async def test_request_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    async with engine(tmp_path, "llm") as running:
        with pytest.raises(WorkerDied):
            await reply(running, "die")
        assert len(await reply(running, "fine")) == 6
        assert running.states()["llm"].restarts == profile().breakers.attempts


async def test_every_worker_killed_at_once_costs_no_request(tmp_path: Path) -> None:
    async with engine(tmp_path) as running:
        work = [
            *(asyncio.ensure_future(hear(running, "slow")) for _ in range(8)),
            *(asyncio.ensure_future(reply(running, "steady", 20)) for _ in range(8)),
            *(asyncio.ensure_future(say(running, "slowly a b c d e f g h i j k l m n")) for _ in range(8)),
        ]
        await asyncio.sleep(0.1)
        for worker in running.states():
            kill(running, worker)
        results = await asyncio.gather(*work, return_exceptions=True)
        assert [result for result in results if isinstance(result, BaseException)] == []
        assert {"".join(delta.text for delta in one) for one in results[8:16]} == {
            "".join(f"{number} " for number in range(20))
        }
        assert {state.restarts for state in running.states().values()} == {1}


@pytest.mark.parametrize("kind", ["started", "loaded"])
async def test_spare_takes_the_place_of_a_killed_worker(tmp_path: Path, kind: str) -> None:
    chosen = profile(*(f"workers.{number}.spare={kind}" for number in range(4)))
    async with engine(tmp_path, "llm", chosen=chosen, waits=patience(spare_after_s=0.0)) as running:
        for restart in range(1, 4):
            await until(lambda: running.states()["llm"].spare)
            await asyncio.sleep(0.5)
            kill(running, "llm")
            begun_at = time.monotonic()
            assert len(await reply(running, "fine")) == 6
            # Without a spare, an interpreter and all its imports would have to be started.
            assert time.monotonic() - begun_at < 5.0
            assert running.states()["llm"].restarts == restart


async def test_spares_end_with_the_engine_and_are_replaced_when_they_die(tmp_path: Path) -> None:
    async with engine(tmp_path, "llm", waits=patience(spare_after_s=0.0)) as running:
        await until(lambda: running.states()["llm"].spare)
        spare = running._supervisors["llm"]._spare
        assert spare is not None and spare.pid is not None
        os.kill(spare.pid, signal.SIGKILL)
        await until(lambda: not running.states()["llm"].spare)
        await until(lambda: running.states()["llm"].spare)
        assert running.states()["llm"].restarts == 0
        successor = running._supervisors["llm"]._spare
        assert successor is not None and successor.pid is not None
        pid = successor.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert num_files(tmp_path) == 0


async def test_worker_with_a_broken_stage_is_replaced(tmp_path: Path) -> None:
    async with engine(tmp_path, "llm") as running:
        with contextlib.suppress(EngineError):
            await reply(running, "break", timeout_s=0.5)
        await until(lambda: running.states()["llm"].last_exit is not None)
        assert running.states()["llm"].last_exit == "ended with status 70"
        assert len(await reply(running, "fine")) == 6


async def test_worker_that_cannot_restart_fails_fast_and_comes_back_by_itself(tmp_path: Path) -> None:
    model = tmp_path / "dies-later"
    model.mkdir()
    runtime = tmp_path / "runtime"
    waits = patience(max_failed_starts=2, retry_start_s=0.2)
    async with engine(runtime, "llm", model=str(model), waits=waits, standby=False) as running:
        (model / "bad").touch()
        kill(running, "llm")
        await until(lambda: running.states()["llm"].state == "failed")
        assert running.health().stages["llm"].status == "down"
        assert not running.health().serving
        begun_at = time.monotonic()
        with pytest.raises((WorkerStartFailed, BreakerOpen)):
            await reply(running, "fine")
        assert time.monotonic() - begun_at < 0.5
        (model / "bad").unlink()
        await until(lambda: running.health().ready)
        assert len(await reply(running, "fine")) == 6


async def test_failing_stage_is_left_alone_and_recovers_by_a_probe(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.touch()
    async with engine(tmp_path / "runtime", "stt") as running:
        for _ in range(profile().breakers.failures):
            with pytest.raises(EngineError, match="as asked"):
                await hear(running, f"fails while {bad}")
        begun_at = time.monotonic()
        with pytest.raises(BreakerOpen, match="the stt stage failed too often lately"):
            await hear(running, f"fails while {bad}")
        assert time.monotonic() - begun_at < 0.05
        assert running.health().stages["stt"].status == "down"
        # Nobody asks; the engine's own probe finds that the stage answers again.
        await until(lambda: running.health().stages["stt"].status == "ready")
        bad.unlink()
        assert (await hear(running, f"fails while {bad}")).text == "works"
        assert running.health().stages["stt"].routes[0].breaker.num_opened == 1


async def test_timeouts_open_the_breaker_and_cancelled_requests_do_not(tmp_path: Path) -> None:
    async with engine(tmp_path, "llm", chosen=profile("breakers.open_s=30")) as running:
        for _ in range(10):
            task = asyncio.ensure_future(reply(running, "silent"))
            await until(lambda: running.states()["llm"].queued == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        for _ in range(profile().breakers.failures):
            with pytest.raises(DeadlineExceeded):
                await reply(running, "silent", timeout_s=0.05)
        with pytest.raises(BreakerOpen):
            await reply(running, "fine")


async def test_fallback_answers_while_the_usual_worker_is_away(tmp_path: Path) -> None:
    async with engine(tmp_path, "stt", chosen=with_fallback("stt")) as running:
        assert (await hear(running, "slow")).text == f"by {pid_of(running, 'stt')}"
        waiting = asyncio.ensure_future(hear(running, "slow"))
        await asyncio.sleep(0.05)
        kill(running, "stt")
        assert (await waiting).text == f"by {pid_of(running, 'other')}"
        await until(lambda: running.health().stages["stt"].status == "ready")
        assert (await hear(running, "slow")).text == f"by {pid_of(running, 'stt')}"
        running.prefer_fallbacks(True)
        assert (await hear(running, "slow")).text == f"by {pid_of(running, 'other')}"
        running.prefer_fallbacks(False)
        assert (await hear(running, "slow")).text == f"by {pid_of(running, 'stt')}"


async def test_no_fallback_stands_in_for_the_main_model(tmp_path: Path) -> None:
    async with engine(tmp_path, "llm", chosen=with_fallback("llm")) as running:

        async def writers(model: LanguageModel, num_tokens: int) -> set[str]:
            deltas = model.generate(ask("pid", num_tokens), timeout_s=10.0)
            return {word async for delta in deltas for word in delta.text.split()}

        usual, other = (str(pid_of(running, name)) for name in ("llm", "other"))
        running.prefer_fallbacks(True)
        assert await writers(running.language_model, 2) == {other}
        assert await writers(running.main_language_model, 2) == {usual}
        waiting = asyncio.ensure_future(writers(running.main_language_model, 400))
        await asyncio.sleep(0.1)
        kill(running, "llm")
        with pytest.raises(WorkerDied):
            await waiting


async def test_workers_report_what_they_measured(tmp_path: Path) -> None:
    async with engine(tmp_path, "llm") as running:
        for _ in range(3):
            await reply(running, "fine")

        def values() -> dict[str, float]:
            families = running.states()["llm"].metrics
            return {sample.name: sample.value for family in families for sample in family.samples}

        await until(lambda: values().get("voicectl_fake_jobs_total") == 3)
        assert values()["voicectl_worker_process_resident_memory_bytes"] > 10_000_000
        assert values()["voicectl_worker_process_cpu_seconds_total"] > 0


async def test_kept_phrases_are_said_while_the_voice_is_down(tmp_path: Path) -> None:
    chosen = profile("breakers.worker_wait_s=0.1")
    model = tmp_path / "dies-later"
    model.mkdir()
    async with engine(
        tmp_path / "runtime", "tts", chosen=chosen, model=str(model), waits=patience(retry_start_s=30)
    ) as running:
        await until(lambda: len(running._ports.phrases) == len(chosen.fallback.texts))
        (model / "bad").touch()
        kill(running, "tts")
        assert await say(running, chosen.fallback.wait_text) != []
        with pytest.raises(EngineError):
            await say(running, "Any other text.")


ESPEAK = """#!{python}
import struct, sys, time
text = sys.stdin.buffer.read()
if b"hang" in text:
    time.sleep(60)
if b"fail" in text:
    sys.exit(3)
if b"flood" in text:
    while True:
        sys.stdout.buffer.write(bytes(1 << 20))
pcm = b"\\1\\0" * 22050
head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 0x7FFFFFFF, b"WAVE", b"fmt ", 16, 1, 1, 22050, 44100, 2, 16,
    b"data", 0x7FFFF000)
sys.stdout.buffer.write(head + pcm)
"""


@pytest.fixture
def espeak(tmp_path: Path) -> Path:
    path = tmp_path / "espeak-ng"
    path.write_text(ESPEAK.format(python=sys.executable))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


async def test_simple_voice_speaks_while_the_voice_is_down(tmp_path: Path, espeak: Path) -> None:
    chosen = profile(
        "breakers.worker_wait_s=0.1", f"fallback.voice={espeak}", "fallback.voice_timeout_s=1", "breakers.open_s=30"
    )
    model = tmp_path / "dies-later"
    model.mkdir()
    async with engine(
        tmp_path / "runtime", "tts", chosen=chosen, model=str(model), waits=patience(retry_start_s=30)
    ) as running:
        (model / "bad").touch()
        kill(running, "tts")
        chunks = await say(running, "Any other text.")
        assert sum(len(chunk.pcm) for chunk in chunks) == 44_100
        assert [mark.start for chunk in chunks for mark in chunk.marks] == [0, 4, 10]
        for text, message in (
            ("please hang", "did not speak within"),
            ("please fail", "status 3"),
            ("please flood", "wrote more than"),
        ):
            with pytest.raises(EngineError, match=message):
                await say(running, text)


async def test_simple_voice_that_is_not_installed_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no program '/nowhere/espeak-ng'"):
        async with engine(tmp_path, "tts", chosen=profile("fallback.voice=/nowhere/espeak-ng")):
            pass
