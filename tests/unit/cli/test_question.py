"""A question that was asked before needs no voice; another voice, speed or text is another question."""

from pathlib import Path

import numpy as np
import pytest

from voicectl.cli.audio_out import write_wav
from voicectl.cli.question import cached_path, spoken_question
from voicectl.core.config import load_profile


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICECTL_HOME", str(tmp_path))


async def test_kept_question_is_asked_without_the_voice() -> None:
    profile = load_profile("cpu", environment={})
    path = cached_path(profile, "Why?")
    path.parent.mkdir(parents=True)
    write_wav(path, np.full(2205, 0.5, dtype=np.float32), 22_050)
    samples, rate = await spoken_question(profile, "Why?")
    assert (samples.size, rate) == (2205, 22_050)


def test_key_is_voice_speed_and_text() -> None:
    cpu = load_profile("cpu", environment={})
    faster = load_profile("cpu", overrides=["tts.speed=1.2"], environment={})
    other = load_profile("cpu", overrides=["models.tts=piper-en_GB-cori-medium"], environment={})
    paths = {
        cached_path(cpu, "Why?"),
        cached_path(faster, "Why?"),
        cached_path(other, "Why?"),
        cached_path(cpu, "Who?"),
    }
    assert len(paths) == 4
