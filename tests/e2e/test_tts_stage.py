"""The embedded voice: streamed speech equals whole speech, is understood, marked, trimmed and stopped."""

import queue
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import WhisperModel
from jiwer import wer
from whisper_normalizer.english import EnglishTextNormalizer

from voicectl.core.audio import Samples, pcm16_to_float
from voicectl.core.profile import Profile
from voicectl.core.sections.hardware import Models
from voicectl.engine.messages import Failed, Mark, ReplyBody, SpeechEnded, SpeechPiece, Synthesize
from voicectl.engine.stage import Job, StageRuntime, StageSetup
from voicectl.engine.tts.speaker import ChunkPlan
from voicectl.engine.tts.stage import load
from voicectl.engine.tts.voice import Voice

pytestmark = pytest.mark.e2e

VOICE = "piper-en_US-joe-medium"
SENTENCES = (
    "Sure, I can do that.",
    "Your appointment is on Tuesday at three in the afternoon, is that all right for you?",
    "The quick brown fox jumps over the lazy dog.",
    "Please hold the line while I look for your order.",
)
ANSWER_S = 60.0


def setup_of(root: Path) -> StageSetup:
    profile = Profile.model_validate(
        {
            "name": "test",
            "description": "Test.",
            "hardware": {"cpu_cores": 2, "memory_gb": 4},
            "models": dict.fromkeys(Models.model_fields, "none") | {"tts": VOICE},
            "workers": [{"name": "all", "stages": ["stt", "turn", "llm", "tts"]}],
        }
    )
    return StageSetup(profile=profile, worker=profile.workers[0], model_root=root)


@pytest.fixture(scope="module")
def voice_root(model_root: Callable[[str], Path]) -> Path:
    return model_root(VOICE)


@pytest.fixture(scope="module")
def stage(voice_root: Path) -> Iterator[StageRuntime]:
    runtime = load(setup_of(voice_root))
    yield runtime
    runtime.close()


class Request:
    """One job: its replies as they come."""

    _ids = iter(range(1, 1_000_000))

    def __init__(self, stage: StageRuntime, text: str, *, speed: float = 1.0, priority: int = 0) -> None:
        self.request_id = next(self._ids)
        self._inbox: queue.Queue[tuple[float, ReplyBody]] = queue.Queue()
        self.begun_at = time.monotonic()
        stage.submit(
            Job(
                request_id=self.request_id,
                priority=priority,
                deadline_at=self.begun_at + ANSWER_S,
                body=Synthesize(text, speed=speed),
                emit=lambda reply: self._inbox.put((time.monotonic(), reply)),
            )
        )

    def next(self) -> tuple[float, ReplyBody]:
        return self._inbox.get(timeout=ANSWER_S)

    def finish(self) -> "Speech":
        pieces: list[SpeechPiece] = []
        first_at = None
        while True:
            at, reply = self.next()
            if not isinstance(reply, SpeechPiece):
                break
            first_at = first_at or at
            pieces.append(reply)
        assert self._inbox.empty()
        return Speech(pieces, reply, None if first_at is None else first_at - self.begun_at)


class Speech:
    """The whole answer to a request."""

    def __init__(self, pieces: list[SpeechPiece], end: ReplyBody, first_s: float | None) -> None:
        self.pieces, self.end, self.first_s = pieces, end, first_s
        self.samples: Samples = pcm16_to_float(b"".join(piece.pcm for piece in pieces))
        self.marks: list[Mark] = [mark for piece in pieces for mark in piece.marks]

    @property
    def duration_s(self) -> float:
        return len(self.samples) / self.pieces[0].sample_rate if self.pieces else 0.0

    def levels_dbfs(self) -> np.ndarray:
        """RMS of windows of 10 ms."""
        window = self.pieces[0].sample_rate // 100
        whole = self.samples[: len(self.samples) // window * window].reshape(-1, window)
        return 10 * np.log10(np.square(whole, dtype=np.float64).mean(axis=1) + 1e-12)


def assert_marked(text: str, words: list[str], speech: Speech) -> None:
    assert [text[mark.start : mark.end] for mark in speech.marks] == words
    assert all(mark.start_s <= mark.end_s <= speech.duration_s + 1e-9 for mark in speech.marks)
    assert all(left.end_s <= right.start_s + 1e-9 for left, right in pairwise(speech.marks))
    assert speech.marks[0].start_s >= 0


@pytest.mark.parametrize("text_index", range(2))
def test_chunks_equal_the_whole_decode(voice_root: Path, text_index: int) -> None:
    """The same noise (one front-end run), decoded at once and in chunks: 1e-5 of full scale."""
    from voicectl.engine.tts.phonemes import Phonemizer

    (model,) = voice_root.glob("*.onnx")
    voice = Voice(model, threads=2)
    ids, _ = voice.ids(Phonemizer(voice.config.espeak_voice).phonemes(SENTENCES[text_index]))
    encoded = voice.encode(ids, speed=1.0)
    whole = voice.decode(encoded).samples(0, encoded.num_frames)
    for plan in (ChunkPlan(40, 120), ChunkPlan(8, 8)):
        decoder = voice.decode(encoded)
        pieces = [decoder.samples(begin, end) for begin, end in plan.ranges(encoded.num_frames, opening=True)]
        assert len(pieces) > 1
        assert np.abs(np.concatenate(pieces) - whole).max() < 1e-5


def test_speech_is_understood_and_within_level(stage: StageRuntime, model_root: Callable[[str], Path]) -> None:
    import soxr

    listener = WhisperModel(str(model_root("faster-whisper-tiny.en")), device="cpu", compute_type="int8", cpu_threads=2)
    normalise = EnglishTextNormalizer()
    heard = []
    for text in SENTENCES:
        speech = Request(stage, text).finish()
        assert speech.end == SpeechEnded()
        levels = speech.levels_dbfs()
        assert 0.1 < np.abs(speech.samples).max() < 0.999, "silent or clipped"
        assert np.flatnonzero(levels > -45)[0] <= 3, "more than 30 ms of silence in front"
        assert len(levels) - np.flatnonzero(levels > -45)[-1] <= 30, "more than 0.3 s of silence behind"
        at_16k = soxr.resample(speech.samples, speech.pieces[0].sample_rate, 16_000)
        found, _ = listener.transcribe(at_16k, language="en", beam_size=1)
        heard.append(normalise("".join(part.text for part in found)))
    error_rate = wer([normalise(text) for text in SENTENCES], heard)
    assert error_rate <= 0.1, heard


@pytest.mark.parametrize(
    "text", [*SENTENCES, "I owe you $12.50 for 3 items, Mr. Smith! Of the 100% at 5pm, e.g. in the U.S.A."]
)
def test_every_word_is_marked_in_order_and_within_the_audio(stage: StageRuntime, text: str) -> None:
    speech = Request(stage, text).finish()
    assert_marked(text, text.split(), speech)
    assert speech.marks[-1].end_s > 0.8 * speech.duration_s - 0.3
    begin_s = 0.0
    for piece in speech.pieces:
        end_s = begin_s + len(piece.pcm) / 2 / piece.sample_rate
        assert all(begin_s - 1e-9 <= mark.start_s <= end_s + 1e-9 for mark in piece.marks)
        begin_s = end_s


def test_marks_lie_on_the_sound(stage: StageRuntime) -> None:
    """After the comma there is a pause: quieter than the words, and no mark covers it."""
    speech = Request(stage, "Hello there, goodbye.").finish()
    pause_begin, pause_end = speech.marks[1].end_s, speech.marks[2].start_s
    assert pause_end - pause_begin > 0.05
    levels = speech.levels_dbfs()
    inside = levels[round(pause_begin * 100) + 1 : round(pause_end * 100) - 1]
    assert inside.min() < np.median(levels) - 10


@pytest.mark.parametrize("text", ["", "  \n ", "...", "?!", "—", "😀 🎉", "\x00\u200d", "«»", "[[", "''"])
def test_a_text_without_words_ends_without_audio(stage: StageRuntime, text: str) -> None:
    speech = Request(stage, text).finish()
    assert speech.end == SpeechEnded()
    assert speech.pieces == []


@pytest.mark.parametrize(
    "text",
    [
        "See https://example.com/a?b=1&c=2#top",
        "$1,299.99, €5 or £3?",
        "Call +1 (555) 123-4567 now!!!",
        "naïve café in Zürich 😀 ok",
        "<b>bold</b> & [[hə]] *star* `code`",
        "你好 means hello",
        "a\x00b\ud800c",
        "A",
        "x" * 400,
        "1234567890" * 10,
    ],
)
def test_odd_texts_are_spoken_and_marked(stage: StageRuntime, text: str) -> None:
    speech = Request(stage, text).finish()
    assert speech.end == SpeechEnded()
    assert speech.duration_s > 0.1
    assert speech.marks
    instants = [instant for mark in speech.marks for instant in (mark.start_s, mark.end_s)]
    assert instants == sorted(instants)
    assert instants[-1] <= speech.duration_s + 1e-9
    letters = {index for index, letter in enumerate(text) if letter.isalnum()}
    assert letters <= {index for mark in speech.marks for index in range(mark.start, mark.end)}


def test_a_faster_voice_takes_less_time(stage: StageRuntime) -> None:
    slow, fast = (Request(stage, SENTENCES[1], speed=speed).finish().duration_s for speed in (1.0, 1.5))
    assert fast < 0.8 * slow


def test_cancel_stops_a_long_text_at_once(stage: StageRuntime) -> None:
    """Ten thousand characters are some ten minutes of speech: a request after it is served at once."""
    request = Request(stage, "This sentence is said again and again. " * 256)
    _, piece = request.next()
    assert isinstance(piece, SpeechPiece)
    stage.cancel(request.request_id)
    replies = []
    while True:
        _, reply = request.next()
        replies.append(reply)
        if not isinstance(reply, SpeechPiece):
            break
    assert isinstance(reply, Failed)
    assert reply.kind == "cancelled"
    assert len(replies) <= 3
    assert Request(stage, SENTENCES[0]).finish().end == SpeechEnded()
    until = time.monotonic() + 1.0
    while stage.queued() and time.monotonic() < until:
        # A worker counts a text as done just after it has told so.
        time.sleep(0.005)
    assert stage.queued() == 0


def test_a_short_clause_is_heard_while_a_long_text_is_spoken(stage: StageRuntime) -> None:
    long = Request(stage, "This sentence is said again and again. " * 8)
    long.next()
    clause = Request(stage, SENTENCES[0], priority=1)
    urgent = Request(stage, SENTENCES[0], priority=0)
    first = {name: request.next()[0] for name, request in (("clause", clause), ("urgent", urgent))}
    ended_at = {}
    for name, request in (("urgent", urgent), ("clause", clause), ("long", long)):
        while True:
            at, reply = request.next()
            if not isinstance(reply, SpeechPiece):
                break
        assert reply == SpeechEnded()
        ended_at[name] = at
    assert first["urgent"] < first["clause"]
    assert first["urgent"] < ended_at["long"]


def test_first_clauses_are_heard_before_long_texts_that_began_earlier_are_done(stage: StageRuntime) -> None:
    long = [Request(stage, f"{SENTENCES[1]} {SENTENCES[3]} {SENTENCES[2]}") for _ in range(4)]
    for request in long:
        request.next()
    clauses = [Request(stage, SENTENCES[0]) for _ in range(4)]
    heard_at = [request.next()[0] for request in clauses]
    assert all(request.finish().end == SpeechEnded() for request in clauses)
    done_at = []
    for request in long:
        at, reply = request.next()
        while isinstance(reply, SpeechPiece):
            at, reply = request.next()
        assert reply == SpeechEnded()
        done_at.append(at)
    assert max(heard_at) < min(done_at)


def test_the_first_piece_comes_long_before_the_last(stage: StageRuntime) -> None:
    """A ratio within one run: absolute speed depends on the machine."""
    shares = []
    for _ in range(5):
        request = Request(stage, SENTENCES[1])
        speech = request.finish()
        assert speech.first_s is not None
        shares.append(speech.first_s / (time.monotonic() - request.begun_at))
    assert sorted(shares)[2] < 0.6
