import queue
import threading
from pathlib import Path

import pytest

from tests.unit.engine.llm.fakes import FakeBackend, StillClock, build_loop, generate
from voicectl.core.errors import EngineError
from voicectl.engine.llm.loop import StepLoop
from voicectl.engine.llm.stage import LlmStage, model_file
from voicectl.engine.messages import Body, Failed, Forget, Forgotten, GenerationEnded, ReplyBody, TextPiece
from voicectl.engine.stage import Job

PATIENCE_S = 10.0


class Gate(FakeBackend):
    """A model that runs only while the gate is open, or fails in ways llama.cpp does not."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()
        self.failures: list[Exception] = []

    def decode(self, entries):  # type: ignore[no-untyped-def]
        assert self.open.wait(PATIENCE_S)
        if self.failures:
            raise self.failures.pop()
        return super().decode(entries)


def stage_on(backend: FakeBackend, depth: int = 10) -> LlmStage:
    return LlmStage(lambda: build_loop(backend, StillClock()), depth=depth, on_breakdown=lambda: None)


def submit(stage: LlmStage, request_id: int, body: Body) -> "queue.Queue[ReplyBody]":
    replies: queue.Queue[ReplyBody] = queue.Queue()
    stage.submit(Job(request_id, 0, 1000.0, body, replies.put))
    return replies


def end_of(replies: "queue.Queue[ReplyBody]") -> ReplyBody:
    while isinstance(reply := replies.get(timeout=PATIENCE_S), TextPiece):
        pass
    return reply


def test_jobs_are_answered_and_counted() -> None:
    stage = stage_on(FakeBackend())
    assert isinstance(end_of(submit(stage, 1, generate("a", "Hello"))), GenerationEnded)
    assert end_of(submit(stage, 2, Forget("a"))) == Forgotten()
    stage.close()
    assert stage.queued() == 0


def test_a_full_stage_rejects_and_a_cancelled_job_makes_room() -> None:
    backend = Gate()
    stage = stage_on(backend, depth=2)
    backend.open.clear()
    held = [submit(stage, number, generate("a", "Hello")) for number in (1, 2)]
    assert stage.queued() == 2
    refused = end_of(submit(stage, 3, generate("b", "Hello")))
    assert isinstance(refused, Failed)
    assert refused.kind == "rejected"
    stage.cancel(2)
    backend.open.set()
    cancelled = end_of(held[1])
    assert isinstance(cancelled, Failed)
    assert cancelled.kind == "cancelled"
    assert isinstance(end_of(held[0]), GenerationEnded)
    assert isinstance(end_of(submit(stage, 4, generate("b", "Hello"))), GenerationEnded)
    stage.close()


def test_closing_cancels_and_later_jobs_are_cancelled_too() -> None:
    backend = Gate()
    stage = stage_on(backend)
    backend.open.clear()
    replies = submit(stage, 1, generate("a", "Hello"))
    threading.Timer(0.0, backend.open.set).start()
    stage.close()
    assert isinstance(end_of(replies), Failed | GenerationEnded)
    late = end_of(submit(stage, 2, generate("a", "Hello")))
    assert isinstance(late, Failed)
    assert late.kind == "cancelled"
    assert stage.queued() == 0


def test_an_unexpected_error_fails_its_requests_and_the_stage_serves_on() -> None:
    backend = Gate()
    stage = stage_on(backend)
    backend.failures.append(OSError("device lost"))
    failed = end_of(submit(stage, 1, generate("a", "Hello")))
    assert isinstance(failed, Failed)
    assert failed.kind == "internal"
    assert "device lost" in failed.message
    assert isinstance(end_of(submit(stage, 2, generate("a", "Hello"))), GenerationEnded)
    stage.close()


def test_a_model_that_does_not_load_is_reported() -> None:
    def refuse() -> StepLoop:
        raise EngineError("no such model")

    with pytest.raises(EngineError, match="no such model"):
        LlmStage(refuse, depth=1, on_breakdown=lambda: None)


@pytest.mark.parametrize("names", [(), ("a.gguf", "b.gguf")])
def test_a_model_folder_holds_exactly_one_model(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(EngineError, match=f"{len(names)} files"):
        model_file(tmp_path)
    (tmp_path / "single").mkdir()
    (tmp_path / "single" / "any.gguf").touch()
    assert model_file(tmp_path / "single").name == "any.gguf"


def test_a_stage_that_broke_down_answers_everything_and_has_its_process_end() -> None:
    ended: queue.Queue[str] = queue.Queue()
    backend = Gate()
    stage = LlmStage(lambda: build_loop(backend, StillClock()), depth=10, on_breakdown=lambda: ended.put("broken down"))
    backend.failures += [OSError("still lost"), OSError("device lost")]
    replies = submit(stage, 1, generate("a", "Hello"))
    assert isinstance(end_of(replies), Failed)
    assert ended.get(timeout=PATIENCE_S) == "broken down"
    late = end_of(submit(stage, 2, generate("a", "Hello")))
    assert isinstance(late, Failed)
    assert late.kind == "internal"
    assert backend.closed
    assert stage.queued() == 0
    stage.close()


def test_a_stage_that_closes_does_not_end_its_process() -> None:
    ended: list[str] = []
    stage = LlmStage(
        lambda: build_loop(FakeBackend(), StillClock()), depth=1, on_breakdown=lambda: ended.append("broken down")
    )
    stage.close()
    assert ended == []
