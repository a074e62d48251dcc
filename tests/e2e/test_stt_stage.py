import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import soundfile
import soxr
from prometheus_client import CollectorRegistry
from whisper_normalizer.english import EnglishTextNormalizer

from voicectl.core.audio import MODEL_RATE_HZ, float_to_pcm16, pcm16_to_float
from voicectl.core.errors import ConfigError
from voicectl.core.ports import Priority
from voicectl.core.profile import Profile
from voicectl.core.sections.engine import SttSettings
from voicectl.core.sections.hardware import Hardware, Models, Worker
from voicectl.engine.messages import Failed, ReplyBody, Transcribe, Transcribed
from voicectl.engine.stage import Job, StageRuntime, StageSetup
from voicectl.engine.stt.model import Pass, WhisperModel
from voicectl.engine.stt.stage import load
from voicectl.engine.stt.windows import choose_window, token_limit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

ModelRoot = Callable[[str], Path]
Clip = dict[str, Any]
WAIT_S = 60.0
TRUSTED = ("upstream", "standard_text")


def profile(settings: SttSettings | None = None) -> Profile:
    return Profile(
        name="test",
        description="For tests.",
        hardware=Hardware(cpu_cores=2, memory_gb=4),
        models=Models(stt="stt", llm="llm", tts="tts", turn="turn", vad="vad"),
        workers=(Worker(name="all", stages=("stt", "llm", "tts", "turn")),),
        stt=settings or SttSettings(),
    )


def load_stage(root: Path, settings: SttSettings | None = None) -> StageRuntime:
    chosen = profile(settings)
    return load(StageSetup(profile=chosen, worker=chosen.workers[0], model_root=root))


@dataclass
class Asked:
    """One request to the stage and its replies."""

    stage: StageRuntime
    replies: list[ReplyBody] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    num_asked = 0

    def send(self, pcm: bytes, priority: Priority = Priority.FINAL, hotwords: str | None = None) -> "Asked":
        Asked.num_asked += 1
        self.request_id = Asked.num_asked
        body = Transcribe(pcm=pcm, hotwords=hotwords)
        self.stage.submit(Job(self.request_id, priority, time.monotonic() + WAIT_S, body, self._take))
        return self

    def _take(self, reply: ReplyBody) -> None:
        self.replies.append(reply)
        self.ended.set()

    def reply(self) -> ReplyBody:
        assert self.ended.wait(WAIT_S)
        return self.replies[0]

    def transcribed(self) -> Transcribed:
        reply = self.reply()
        assert isinstance(reply, Transcribed), reply
        return reply


def clips(speech: Path, *categories: str) -> list[Clip]:
    rows = [json.loads(line) for line in (speech / "manifest.jsonl").read_text().splitlines()]
    return [row for row in rows if row["category"] in categories]


def pcm_of(speech: Path, clip: Clip) -> bytes:
    samples, rate = soundfile.read(speech / "clips" / clip["file"], dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return float_to_pcm16(mono if rate == MODEL_RATE_HZ else soxr.resample(mono, rate, MODEL_RATE_HZ))


@pytest.fixture(scope="module")
def root(model_root: ModelRoot) -> Path:
    return model_root("faster-whisper-tiny.en")


@pytest.fixture(scope="module")
def stage(root: Path) -> Iterator[StageRuntime]:
    runtime = load_stage(root)
    yield runtime
    runtime.close()


@pytest.fixture(scope="module")
def read_clips(speech: Path) -> list[tuple[Clip, bytes]]:
    chosen = [clip for clip in clips(speech, "en_read") if clip["transcript_quality"] in TRUSTED]
    assert len(chosen) >= 20
    return [(clip, pcm_of(speech, clip)) for clip in chosen]


def test_words_are_as_right_as_faster_whispers_in_a_third_of_the_time(
    root: Path, stage: StageRuntime, read_clips: list[tuple[Clip, bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    from faster_whisper import WhisperModel as FasterWhisper

    peer = FasterWhisper(str(root), device="cpu", compute_type="int8", cpu_threads=1)
    normalise = EnglishTextNormalizer()
    said: list[str] = []
    ours: list[str] = []
    theirs: list[str] = []
    ratios: list[float] = []
    times_ms: list[float] = []
    for clip, pcm in read_clips:
        said.append(normalise(clip.get("transcript_for_wer") or clip["transcript"]))
        began_at = time.perf_counter()
        ours.append(normalise(Asked(stage).send(pcm).transcribed().text))
        answered_at = time.perf_counter()
        segments, _ = peer.transcribe(
            pcm16_to_float(pcm),
            beam_size=1,
            language="en",
            vad_filter=False,
            condition_on_previous_text=False,
            temperature=[0.0],
        )
        theirs.append(normalise(" ".join(segment.text for segment in segments)))
        times_ms.append(1000 * (answered_at - began_at))
        ratios.append((answered_at - began_at) / (time.perf_counter() - answered_at))
    our_wer, their_wer = 100 * jiwer.wer(said, ours), 100 * jiwer.wer(said, theirs)
    ratio = statistics.median(ratios)
    with capsys.disabled():
        print(  # noqa: T201 - a measurement for people
            f"\nWER {our_wer:.2f} % against faster-whisper's {their_wer:.2f} %, time ratio {ratio:.2f} "
            f"(p50 {statistics.median(times_ms):.0f} ms, {len(said)} clips)"
        )
    assert our_wer <= their_wer + 0.3
    assert ratio < 0.7


def test_sounds_that_are_no_speech_give_no_text_even_without_voice_activity_detection(
    speech: Path, stage: StageRuntime
) -> None:
    sounds = [clip for clip in clips(speech, "non_speech", "dtmf") if clip["duration_s"] <= 40]
    invented = {
        clip["file"]: text for clip in sounds if (text := Asked(stage).send(pcm_of(speech, clip)).transcribed().text)
    }
    assert len(sounds) >= 15
    assert len(invented) <= len(sounds) // 10, invented


def test_short_words_are_heard_and_said_once(speech: Path, stage: StageRuntime) -> None:
    isolated = clips(speech, "en_isolated")
    texts = [Asked(stage).send(pcm_of(speech, clip)).transcribed().text for clip in isolated]
    assert sum(bool(text) for text in texts) >= 0.9 * len(texts)
    assert all(len(text.split()) == 1 for text in texts if text)


def test_audio_beyond_thirty_seconds_keeps_all_its_words(speech: Path, stage: StageRuntime) -> None:
    normalise = EnglishTextNormalizer()
    long = [clip for clip in clips(speech, "long_form") if clip["language"] == "en"]
    for clip in long:
        text = normalise(Asked(stage).send(pcm_of(speech, clip)).transcribed().text)
        said = normalise(clip.get("transcript_for_wer") or clip["transcript"])
        assert 0.85 < len(text.split()) / len(said.split()) < 1.15
        assert jiwer.wer(said, text) < 0.3


def test_requests_at_the_same_time_get_the_same_words_as_alone(
    stage: StageRuntime, read_clips: list[tuple[Clip, bytes]]
) -> None:
    pcms = [pcm for _, pcm in read_clips[:4]]
    alone = [Asked(stage).send(pcm).transcribed().text for pcm in pcms]
    together = [Asked(stage).send(pcm) for pcm in pcms]
    assert [asked.transcribed().text for asked in together] == alone


def test_a_batch_hears_what_each_of_its_clips_says_alone(root: Path, speech: Path) -> None:
    model = WhisperModel(root, SttSettings(parallel=1), Worker(name="stt", stages=("stt",)))
    looks: dict[int, list[Pass]] = {}
    readable = [clip for clip in clips(speech, "en_read", "en_command", "en_isolated") if clip["file"].endswith(".wav")]
    for clip in readable:
        samples = pcm16_to_float(pcm_of(speech, clip))
        window = choose_window(len(samples), (1000, 1500))
        if window <= model.longest_shared_window:
            looks.setdefault(window, []).append(Pass(samples, window, True, token_limit(len(samples)), None))
    assert len(looks[1000]) >= 30
    for window, passes in looks.items():
        encoded = [model.encode(look) for look in passes]
        alone = [model.decode([look], [code])[0] for look, code in zip(passes, encoded, strict=True)]
        for size in (2, 4):
            together = [
                reading
                for at in range(0, len(passes), size)
                for reading in model.decode(passes[at : at + size], encoded[at : at + size])
            ]
            assert [reading.text for reading in together] == [reading.text for reading in alone], (window, size)
            assert [reading.complete for reading in together] == [reading.complete for reading in alone]
            worst = max(abs(a.avg_logprob - b.avg_logprob) for a, b in zip(alone, together, strict=True))
            assert worst < 1e-3


def test_many_requests_at_once_share_batches_and_get_the_same_words_as_alone(
    root: Path, read_clips: list[tuple[Clip, bytes]]
) -> None:
    registry = CollectorRegistry()
    chosen = profile(SttSettings())
    stage = load(StageSetup(profile=chosen, worker=chosen.workers[0], model_root=root, metrics=registry))
    try:
        pcms = [pcm for _, pcm in read_clips if len(pcm) < 2 * 9 * MODEL_RATE_HZ][:8]
        alone = [Asked(stage).send(pcm).transcribed().text for pcm in pcms]
        silent = Asked(stage).send(b"\1")
        together = [Asked(stage).send(pcm, Priority.SPECULATIVE) for pcm in pcms]
        assert isinstance(silent.reply(), Failed)
        assert [asked.transcribed().text for asked in together] == alone
    finally:
        stage.close()
    num_batches = registry.get_sample_value("voicectl_stt_batch_size_count")
    num_requests = registry.get_sample_value("voicectl_stt_batch_size_sum")
    assert num_requests == 2 * len(pcms) + 1
    assert num_batches is not None
    assert num_batches < num_requests


def test_a_cancelled_request_answers_once_and_the_next_is_served(
    stage: StageRuntime, read_clips: list[tuple[Clip, bytes]]
) -> None:
    pcm = read_clips[0][1]
    asked = Asked(stage).send(pcm)
    stage.cancel(asked.request_id)
    reply = asked.reply()
    assert isinstance(reply, Failed)
    assert reply.kind == "cancelled"
    assert Asked(stage).send(pcm).transcribed().text
    assert len(asked.replies) == 1


def test_partials_are_rejected_while_finals_fill_the_lanes(
    stage: StageRuntime, read_clips: list[tuple[Clip, bytes]]
) -> None:
    pcm = read_clips[0][1]
    finals = [Asked(stage).send(pcm) for _ in range(3)]
    partial = Asked(stage).send(pcm, Priority.PARTIAL).reply()
    assert isinstance(partial, Failed)
    assert partial.kind == "rejected"
    assert all(final.transcribed().text for final in finals)


def test_hotwords_are_accepted(stage: StageRuntime, read_clips: list[tuple[Clip, bytes]]) -> None:
    assert Asked(stage).send(read_clips[0][1], hotwords="Kubernetes, voicectl").transcribed().text


def test_a_multilingual_model_hears_the_profiles_language(model_root: ModelRoot, speech: Path) -> None:
    spanish = [clip for clip in clips(speech, "multilingual") if clip["language"] == "es"]
    if not spanish:
        pytest.skip("no Spanish clip in the recorded speech")
    stage = load_stage(model_root("faster-whisper-base"), SttSettings(language="es", parallel=1))
    try:
        heard = [Asked(stage).send(pcm_of(speech, clip)).transcribed().text for clip in spanish]
    finally:
        stage.close()
    plain = jiwer.RemovePunctuation()
    said = [plain(clip["transcript"].lower()) for clip in spanish]
    assert jiwer.wer(said, [plain(text.lower()) for text in heard]) < 0.5


def test_an_english_model_refuses_another_language(root: Path) -> None:
    with pytest.raises(ConfigError, match="English only"):
        load_stage(root, SttSettings(language="de"))


def test_silence_has_no_words(stage: StageRuntime) -> None:
    silence = float_to_pcm16(np.zeros(MODEL_RATE_HZ, dtype=np.float32))
    assert Asked(stage).send(silence).transcribed().text == ""
