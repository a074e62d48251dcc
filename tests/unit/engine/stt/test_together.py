"""Jobs of a batch share passes and nothing else: neither waits, nor failures, nor cancellations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from voicectl.core.clock import MonotonicClock
from voicectl.core.errors import RequestRejected
from voicectl.engine.jobs import JobRun
from voicectl.engine.messages import Failed, ReplyBody, Transcribe, Transcribed
from voicectl.engine.stage import Job
from voicectl.engine.stt.model import Pass
from voicectl.engine.stt.quality import Reading
from voicectl.engine.stt.together import PassReader, Plan


@dataclass
class EchoModel:
    """Reads the hotwords of a pass as its text; `decoded` holds the texts of each call."""

    broken: str | None = None
    on_encode: Callable[[Pass], None] = lambda _: None
    decoded: list[list[str]] = field(default_factory=list)

    def encode(self, look: Pass) -> str:
        self.on_encode(look)
        return str(look.max_tokens)

    def decode(self, passes: Sequence[Pass], encoded: Sequence[str]) -> list[Reading]:
        assert len({look.group for look in passes}) == 1
        self.decoded.append(list(encoded))
        if self.broken in encoded:
            raise RuntimeError("cannot be decoded")
        return [Reading(code, -0.1, 0.0, 1, True, look.window) for look, code in zip(passes, encoded, strict=True)]


def look(number: int, window: int = 1000) -> Pass:
    return Pass(np.zeros(16, dtype=np.float32), window, True, number, None)


def plan_of(job: Job) -> Plan:
    """Read a pass for each number of the job's audio, 9 in a longer window."""
    body = job.body
    assert isinstance(body, Transcribe)
    if not body.pcm:
        raise RequestRejected("there is no audio")
    texts = []
    for number in body.pcm:
        reading = yield look(number, 3000 if number == 9 else 1000)
        texts.append(reading.text)
    return Transcribed(" ".join(texts), -0.1, 0.0, 1.0, 1000)


@dataclass
class Asked:
    """A job and the replies to it."""

    numbers: bytes
    replies: list[ReplyBody] = field(default_factory=list)
    deadline_at: float = float("inf")

    def __post_init__(self) -> None:
        job = Job(id(self), 0, self.deadline_at, Transcribe(pcm=self.numbers), self.replies.append)
        self.run = JobRun(job, MonotonicClock())

    def said(self) -> str:
        (reply,) = self.replies
        return reply.text if isinstance(reply, Transcribed) else ""

    def failed(self) -> str:
        (reply,) = self.replies
        return reply.kind if isinstance(reply, Failed) else ""


def read(model: EchoModel, *asked: Asked) -> None:
    PassReader(plan_of, model)([one.run for one in asked])


def test_jobs_of_one_group_are_decoded_together() -> None:
    model, first, second = EchoModel(), Asked(b"\1"), Asked(b"\2")
    read(model, first, second)
    assert [first.said(), second.said()] == ["1", "2"]
    assert model.decoded == [["1", "2"]]


def test_a_job_that_looks_twice_holds_up_no_other() -> None:
    first, second = Asked(b"\1\x09"), Asked(b"\2\3")
    seen: list[int] = []
    model = EchoModel(on_encode=lambda look: seen.append(len(second.replies)) if look.window == 3000 else None)
    read(model, first, second)
    assert [first.said(), second.said()] == ["1 9", "2 3"]
    assert model.decoded == [["1", "2"], ["9"], ["3"]] or model.decoded == [["1", "2"], ["3"], ["9"]]


def test_a_job_without_audio_fails_alone() -> None:
    model, empty, good = EchoModel(), Asked(b""), Asked(b"\2")
    read(model, empty, good)
    assert empty.failed() == "rejected"
    assert good.said() == "2"


def test_a_job_that_breaks_the_batch_fails_alone() -> None:
    model, bad, good = EchoModel(broken="1"), Asked(b"\1"), Asked(b"\2")
    read(model, bad, good)
    assert bad.failed() == "internal"
    assert good.said() == "2"


def test_a_job_that_cannot_be_encoded_fails_alone() -> None:
    def refuse(look: Pass) -> None:
        if look.max_tokens == 1:
            raise ValueError("too long")

    model, bad, good = EchoModel(on_encode=refuse), Asked(b"\1"), Asked(b"\2")
    read(model, bad, good)
    assert bad.failed() == "internal"
    assert good.said() == "2"
    assert model.decoded == [["2"]]


def test_a_job_cancelled_while_the_batch_is_encoded_is_not_decoded() -> None:
    first, second = Asked(b"\1"), Asked(b"\2")
    model = EchoModel(
        on_encode=lambda look: None if look.max_tokens == 1 else first.run.fail("cancelled", "given up") and None
    )
    read(model, first, second)
    assert first.failed() == "cancelled"
    assert second.said() == "2"
    assert model.decoded == [["2"]]


def test_a_job_past_its_deadline_is_not_read() -> None:
    model, late, good = EchoModel(), Asked(b"\1", deadline_at=0.0), Asked(b"\2")
    read(model, late, good)
    assert late.failed() == "deadline"
    assert model.decoded == [["2"]]


def test_a_batch_of_which_all_were_cancelled_computes_nothing() -> None:
    model, first = EchoModel(), Asked(b"\1")
    first.run.fail("cancelled", "given up")
    read(model, first)
    assert model.decoded == []
