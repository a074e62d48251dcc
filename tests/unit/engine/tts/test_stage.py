"""Every job ends in exactly one terminal reply, and what is cancelled computes no more."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from voicectl.core.errors import ArtifactMissing
from voicectl.engine.jobs import JobPool
from voicectl.engine.messages import (
    Body,
    Failed,
    Mark,
    ReplyBody,
    ScoreTurn,
    SpeechEnded,
    SpeechPiece,
    Synthesize,
)
from voicectl.engine.stage import Job
from voicectl.engine.tts.crew import Crew
from voicectl.engine.tts.speaker import Spoken
from voicectl.engine.tts.stage import MAX_TEXT_CHARS, SpeechHandler, TtsMeter, _voice_file

FOREVER = 1e12


class LetterSpeaker:
    """Says one piece of 100 samples a letter; `steps` records what it computed."""

    sample_rate = 1000

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.steps: list[str] = []
        self.begun = threading.Event()
        self._gate = gate

    def speak(self, text: str, *, speed: float) -> Iterator[Spoken]:
        for index, letter in enumerate(text):
            self.steps.append(letter)
            self.begun.set()
            if self._gate is not None:
                self._gate.wait(5)
            yield Spoken(np.full(100, 0.5, dtype=np.float32), (Mark(index, index + 1, index / 10, (index + 1) / 10),))


class Inbox:
    """Collects the replies of a job and tells when it ended."""

    def __init__(self) -> None:
        self.replies: list[ReplyBody] = []
        self.ended = threading.Event()

    def __call__(self, reply: ReplyBody) -> None:
        self.replies.append(reply)
        if not isinstance(reply, SpeechPiece):
            self.ended.set()


def job(request_id: int, body: Body, inbox: Inbox, *, priority: int = 0) -> Job:
    return Job(request_id=request_id, priority=priority, deadline_at=FOREVER, body=body, emit=inbox)


def answered(body: Body, speaker: LetterSpeaker | None = None) -> list[ReplyBody]:
    stage = JobPool("tts", SpeechHandler(speaker or LetterSpeaker(), Crew(1)), lanes=1, depth=4)
    inbox = Inbox()
    stage.submit(job(1, body, inbox))
    assert inbox.ended.wait(5)
    stage.close()
    return inbox.replies


def test_speech_streams_and_ends() -> None:
    first, second, end = answered(Synthesize("ab"))
    assert isinstance(first, SpeechPiece)
    assert isinstance(second, SpeechPiece)
    assert (len(first.pcm), first.sample_rate, first.marks) == (200, 1000, (Mark(0, 1, 0.0, 0.1),))
    assert end == SpeechEnded()


def test_a_text_without_speech_ends_without_audio() -> None:
    assert answered(Synthesize("")) == [SpeechEnded()]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (ScoreTurn(b""), "cannot serve a ScoreTurn"),
        (Synthesize("a" * (MAX_TEXT_CHARS + 1)), "characters"),
        (Synthesize("a", speed=0.0), "speed 0.0"),
        (Synthesize("a", speed=float("nan")), "speed nan"),
    ],
)
def test_what_cannot_be_spoken_is_rejected(body: Body, reason: str) -> None:
    (reply,) = answered(body)
    assert isinstance(reply, Failed)
    assert reply.kind == "rejected"
    assert reason in reply.message


def test_a_cancelled_text_computes_no_further_chunk() -> None:
    gate = threading.Event()
    speaker = LetterSpeaker(gate)
    stage = JobPool("tts", SpeechHandler(speaker, Crew(1)), lanes=1, depth=4)
    inbox, after = Inbox(), Inbox()
    stage.submit(job(1, Synthesize("abcdef"), inbox))
    assert speaker.begun.wait(5)
    stage.cancel(1)
    assert inbox.ended.wait(5)
    gate.set()
    stage.submit(job(2, Synthesize("z"), after))
    assert after.ended.wait(5)
    stage.close()
    assert speaker.steps == ["a", "z"]
    assert [type(reply) for reply in inbox.replies] == [Failed]


def test_a_first_chunk_goes_before_the_rest_of_a_text_that_is_heard_already() -> None:
    gate = threading.Event()
    speaker = LetterSpeaker(gate)
    crew = Crew(1)
    handler = SpeechHandler(speaker, crew)
    stage = JobPool("tts", handler, lanes=2, depth=4)
    long, short = Inbox(), Inbox()
    stage.submit(job(1, Synthesize("aaaa"), long))
    assert speaker.begun.wait(5)
    stage.submit(job(2, Synthesize("z"), short))
    waiting = threading.Event()
    while crew.waiting() < 1:
        waiting.wait(0.001)
    gate.set()
    assert long.ended.wait(5)
    assert short.ended.wait(5)
    stage.close()
    assert speaker.steps == ["a", "z", "a", "a", "a"]


def test_first_audio_and_all_audio_are_counted() -> None:
    registry = CollectorRegistry()
    handler = SpeechHandler(LetterSpeaker(), Crew(1), meter=TtsMeter(registry))
    stage = JobPool("tts", handler, lanes=1, depth=4)
    inbox = Inbox()
    stage.submit(job(1, Synthesize("abc"), inbox))
    assert inbox.ended.wait(5)
    stage.close()
    assert registry.get_sample_value("voicectl_tts_first_chunk_seconds_count") == 1
    assert registry.get_sample_value("voicectl_tts_audio_seconds_total") == pytest.approx(0.3)
    assert registry.get_sample_value("voicectl_tts_streams") == 0


def test_a_folder_without_one_voice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match=r"0 \.onnx files"):
        _voice_file(tmp_path)
    (tmp_path / "a.onnx").touch()
    assert _voice_file(tmp_path) == tmp_path / "a.onnx"
