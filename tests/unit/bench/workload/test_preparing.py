"""From a workload file to sounds and turns: everything is made once, and what is missing is told at once."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.workload.preparing import Recording, Sources, prepared
from voicectl.bench.workload.reading import WorkloadError
from voicectl.bench.workload.ready import ReadyWorkload
from voicectl.bench.workload.schema import WorkloadFile
from voicectl.core.audio import pcm16_to_float
from voicectl.core.errors import AudioInputError

FILE = Path("folder/mine.yaml")


def tone(length_s: float, rate: int = RATE_HZ) -> np.ndarray:
    edges = np.zeros(round(0.1 * rate))
    sound = 0.3 * np.sin(2 * np.pi * 300 * np.arange(round(length_s * rate)) / rate)
    return np.concatenate([edges, sound, edges]).astype(np.float32)


class FakeSources:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.read_paths: list[Path] = []

    async def synthesize(self, texts: Sequence[str]) -> Mapping[str, Recording]:
        self.asked += texts
        return {text: (tone(0.02 * len(text), 22_050), 22_050) for text in texts}

    def read(self, path: Path) -> Recording:
        self.read_paths.append(path)
        if "missing" in path.name:
            raise AudioInputError(path, "no such file")
        return (np.zeros(RATE_HZ, dtype=np.float32) if "silent" in path.name else tone(0.5), RATE_HZ)


async def made(*turns: dict[str, Any], sources: FakeSources | None = None, **keys: Any) -> ReadyWorkload:
    document = {"name": "mine", "conversations": [{"name": "one", "turns": turns}], **keys}
    fake = sources or FakeSources()
    return await prepared(WorkloadFile.model_validate(document), FILE, Sources(fake.synthesize, fake.read))


async def test_text_is_spoken_once_and_is_its_own_reference() -> None:
    sources = FakeSources()
    workload = await made({"say": "Hello."}, {"say": "Hello."}, sources=sources)
    assert sources.asked == ["Hello."]
    assert len(workload.sounds) == 1
    assert [turn.reference for turn in workload.conversations[0].turns] == ["Hello.", "Hello."]


async def test_voiced_span_is_that_of_the_words() -> None:
    workload = await made({"audio": "a.wav"})
    sound = workload.sounds[0]
    assert sound.first_voiced_s == pytest.approx(0.1, abs=0.002)
    assert sound.last_voiced_s == pytest.approx(0.6, abs=0.002)
    assert workload.conversations[0].turns[0].duration_s == pytest.approx(0.7, abs=0.001)


async def test_noise_is_mixed_under_the_words_and_leaves_their_span_as_it_is() -> None:
    clean = await made({"audio": "a.wav"})
    noisy = await made({"audio": "a.wav"}, background={"kind": "white", "snr_db": 10})
    assert noisy.sounds[0].last_voiced_s == clean.sounds[0].last_voiced_s
    difference = pcm16_to_float(noisy.sounds[0].pcm) - pcm16_to_float(clean.sounds[0].pcm)
    level = 0.3 / np.sqrt(2) / 10 ** (10 / 20)
    assert np.std(difference) == pytest.approx(level, rel=0.1)
    assert noisy.backdrop is not None
    assert np.std(pcm16_to_float(noisy.backdrop)) == pytest.approx(level, rel=0.1)
    assert clean.backdrop is None


async def test_every_kind_of_turn_is_made() -> None:
    workload = await made(
        {"say": "Hello."},
        {"say": "Stop.", "barge_in": {"after_ms": 700}, "pause_ms": 100},
        {"dtmf": "12"},
        {"silence_ms": 1500},
        {"noise": {"kind": "babble", "duration_ms": 500}},
    )
    turns = workload.conversations[0].turns
    assert [turn.kind for turn in turns] == ["speech", "barge-in", "dtmf", "silence", "noise"]
    assert turns[1].after_s == 0.7
    assert turns[1].pause_s == 0.1
    assert (turns[3].sound, turns[3].duration_s) == (None, 1.5)
    assert turns[4].duration_s == 0.5
    assert [turn.reference for turn in turns[2:]] == [None, None, None]


async def test_digest_follows_texts_sounds_and_times_alone() -> None:
    turn = {"audio": "a.wav", "reference": "some words"}
    first = await made(turn)
    assert first.digest == (await made(turn)).digest
    assert first.digest.startswith("sha256:")
    others = [
        await made(turn, pause_ms=7),
        await made({**turn, "reference": "other words"}),
        await made(turn, background={"kind": "white", "snr_db": 10}),
        await made(turn, background={"kind": "white", "snr_db": 10}, seed=2),
    ]
    assert len({first.digest, *(other.digest for other in others)}) == 5


async def test_all_missing_recordings_are_told_at_once_before_anything_is_spoken() -> None:
    sources = FakeSources()
    with pytest.raises(WorkloadError) as refused:
        await made({"audio": "missing-1.wav"}, {"say": "Hi."}, {"audio": "missing-2.wav"}, sources=sources)
    assert "folder/missing-1.wav: no such file" in refused.value.message
    assert "folder/missing-2.wav: no such file" in refused.value.message
    assert refused.value.exit_code == 3
    assert sources.asked == []


async def test_recording_of_silence_is_refused_as_words() -> None:
    with pytest.raises(WorkloadError, match=r"conversations\.one\.turns\.0: holds no sound"):
        await made({"audio": "silent.wav"})


async def test_too_much_sound_is_refused() -> None:
    file = WorkloadFile.model_validate(
        {"name": "mine", "conversations": [{"name": "one", "turns": [{"audio": "a.wav"}, {"say": "Hello there."}]}]}
    )
    fake = FakeSources()
    with pytest.raises(WorkloadError, match=r"turns\.1: more than 0\.015 minutes of sound"):
        await prepared(file, FILE, Sources(fake.synthesize, fake.read), max_total_s=0.9)
