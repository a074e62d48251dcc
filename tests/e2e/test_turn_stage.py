import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voicectl.core.audio import MODEL_RATE_HZ, float_to_pcm16
from voicectl.core.errors import ArtifactMissing, ConfigError
from voicectl.core.profile import Profile
from voicectl.core.sections.hardware import Hardware, Models, Worker
from voicectl.engine.messages import ReplyBody, Scored, ScoreTurn
from voicectl.engine.stage import Job, StageRuntime, StageSetup
from voicectl.engine.turn.model import TurnModel
from voicectl.engine.turn.stage import load

pytestmark = pytest.mark.e2e

ModelRoot = Callable[[str], Path]
WAIT_S = 20.0


def load_stage(root: Path) -> StageRuntime:
    profile = Profile(
        name="test",
        description="For tests.",
        hardware=Hardware(cpu_cores=2, memory_gb=4),
        models=Models(stt="stt", llm="llm", tts="tts", turn="turn", vad="vad"),
        workers=(Worker(name="all", stages=("stt", "llm", "tts", "turn")),),
    )
    return load(StageSetup(profile=profile, worker=profile.workers[0], model_root=root))


@pytest.fixture(scope="module")
def stage(model_root: ModelRoot) -> Iterator[StageRuntime]:
    runtime = load_stage(model_root("smart-turn-v3.2"))
    yield runtime
    runtime.close()


def score(stage: StageRuntime, samples: np.ndarray) -> float:
    replies: list[ReplyBody] = []
    ended = threading.Event()

    def take(reply: ReplyBody) -> None:
        replies.append(reply)
        ended.set()

    body = ScoreTurn(pcm=float_to_pcm16(samples.astype(np.float32)))
    stage.submit(Job(1, 0, time.monotonic() + WAIT_S, body, take))
    assert ended.wait(WAIT_S)
    reply = replies[0]
    assert isinstance(reply, Scored), reply
    return reply.probability


def clip(speech: Path, name: str) -> np.ndarray:
    path = speech / "clips" / name
    if path.suffix == ".raw":
        return np.frombuffer(path.read_bytes(), "<i2").astype(np.float32) / 32768.0
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == MODEL_RATE_HZ
    return samples


@pytest.mark.parametrize(
    ("name", "last_speech_s", "is_complete"),
    [
        ("en_command__pocketsphinx__goforward.raw", 2.18, True),
        ("en_read__speechbrain__spk2_snt6.wav", 1.80, True),
        ("en_command__pocketsphinx__input_4_16k.wav", 4.86, True),
        ("en_command__pocketsphinx__input_2_16k.wav", 3.35, False),
    ],
)
def test_a_finished_turn_is_told_from_one_that_breaks_off(
    stage: StageRuntime, speech: Path, name: str, last_speech_s: float, is_complete: bool
) -> None:
    samples = np.concatenate([clip(speech, name), np.zeros(MODEL_RATE_HZ, dtype=np.float32)])
    probability = score(stage, samples[: int((last_speech_s + 0.1) * MODEL_RATE_HZ)])
    assert (probability > 0.8) if is_complete else (probability < 0.2)


def test_half_a_sentence_sounds_less_complete_than_the_whole(stage: StageRuntime, speech: Path) -> None:
    samples = clip(speech, "en_command__pocketsphinx__goforward.raw")
    half = samples[: int(1.3 * MODEL_RATE_HZ)]
    assert score(stage, half) < score(stage, samples[: int(2.28 * MODEL_RATE_HZ)])


@pytest.mark.parametrize("num_samples", [1, 1600, 8 * MODEL_RATE_HZ, 30 * MODEL_RATE_HZ])
def test_audio_of_any_length_is_scored(stage: StageRuntime, num_samples: int) -> None:
    assert 0.0 <= score(stage, np.zeros(num_samples)) <= 1.0


def test_what_lies_before_the_last_eight_seconds_does_not_count(stage: StageRuntime) -> None:
    rng = np.random.default_rng(5)
    window = rng.standard_normal(8 * MODEL_RATE_HZ) * 0.1
    before = rng.standard_normal(3 * MODEL_RATE_HZ) * 0.1
    assert score(stage, np.concatenate([before, window])) == score(stage, window)


def test_a_score_takes_a_small_part_of_the_audio_it_hears(
    stage: StageRuntime, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = 5
    samples = np.random.default_rng(6).standard_normal(seconds * MODEL_RATE_HZ) * 0.1
    times_s = []
    for _ in range(20):
        began_at = time.perf_counter()
        score(stage, samples)
        times_s.append(time.perf_counter() - began_at)
    with capsys.disabled():
        print(  # noqa: T201 - a measurement for people
            f"\nend-of-turn score: p50 {1000 * statistics.median(times_s):.1f} ms, best {1000 * min(times_s):.1f} ms"
        )
    assert min(times_s) / seconds < 0.1


def test_turns_scored_together_have_the_scores_they_have_alone(model_root: ModelRoot, speech: Path) -> None:
    model = TurnModel(model_root("smart-turn-v3.2"), Worker(name="turn", stages=("turn",)))
    names = ("goforward.raw", "input_4_16k.wav", "input_2_16k.wav")
    turns = [clip(speech, f"en_command__pocketsphinx__{name}") for name in names]
    alone = [model.complete_probabilities([samples])[0] for samples in turns]
    assert model.complete_probabilities(turns) == pytest.approx(alone, abs=1e-6)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match=r"no \.onnx file"):
        load_stage(tmp_path)


def test_another_models_file_is_refused(model_root: ModelRoot) -> None:
    with pytest.raises(ConfigError, match="smart-turn"):
        load_stage(model_root("silero-vad-v6"))
