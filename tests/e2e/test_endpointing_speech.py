"""Endpointing on recorded speech and noise, with the real voice-activity and turn models' own thresholds."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voicectl.core.audio import float_to_pcm16
from voicectl.core.sections.media import Endpointing, VadSettings
from voicectl.media.audiofile import read_speech
from voicectl.media.endpointing import Decision, Endpointer, Evidence, Hesitated, SpeechBegan, TurnEnded
from voicectl.media.listening import Listener
from voicectl.media.resample import resample
from voicectl.media.vad import VoiceActivityDetector

pytestmark = pytest.mark.e2e

ModelRoot = Callable[[str], Path]
READABLE = (".wav", ".flac", ".mp3", ".ogg")


def clips(speech: Path, *categories: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (speech / "manifest.jsonl").read_text().splitlines()]
    return [row for row in rows if row["category"] in categories and row["file"].endswith(READABLE)]


def clip_path(speech: Path, row: dict[str, Any]) -> Path:
    return speech / "clips" / row["file"]


def listener(model_root: ModelRoot) -> Listener:
    vad = VadSettings()
    return Listener(VoiceActivityDetector(model_root("silero-vad-v6")), Endpointer(Endpointing(), vad), vad)


def heard(ear: Listener, path: Path, tail_s: float = 3.0, verdict: tuple[float, str] | None = None) -> list[Decision]:
    """Play a clip in real frames; answer every pause with the same verdict."""
    samples, rate = read_speech(path)
    samples = np.concatenate((samples, np.zeros(round(tail_s * rate), dtype=np.float32)))
    decisions: list[Decision] = []
    for at in range(0, samples.size, rate // 50):
        made = ear.push(float_to_pcm16(samples[at : at + rate // 50]), rate)
        decisions += made
        if verdict is not None:
            for pause in made:
                if isinstance(pause, Hesitated):
                    decisions += ear.weigh(Evidence(pause.pause_id, *verdict))
    return decisions


def test_noise_music_and_tones_never_become_a_turn(speech: Path, model_root: ModelRoot) -> None:
    rows = clips(speech, "non_speech", "dtmf")
    assert len(rows) >= 15
    turns = {row["file"]: heard(listener(model_root), clip_path(speech, row)) for row in rows}
    assert not {file: decisions for file, decisions in turns.items() if decisions}


def test_read_sentences_end_once_their_last_word_is_said(speech: Path, model_root: ModelRoot) -> None:
    rows = [row for row in clips(speech, "en_read") if row["duration_s"] < 3 and row["vad_check"]["segments"]]
    assert len(rows) >= 5
    for row in rows:
        decisions = heard(listener(model_root), clip_path(speech, row), verdict=(0.95, "It is so."))
        began = next(decision for decision in decisions if isinstance(decision, SpeechBegan))
        ended = [decision for decision in decisions if isinstance(decision, TurnEnded)]
        assert began.position_s == pytest.approx(row["vad_check"]["segments"][0][0], abs=0.25), row["file"]
        assert ended, row["file"]
        assert ended[-1].reason == "complete"
        assert ended[-1].speech_end_s == pytest.approx(row["vad_check"]["segments"][-1][1], abs=0.3), row["file"]
        assert ended[-1].position_s - ended[-1].speech_end_s < 0.5


def test_a_caller_who_announces_more_is_waited_for(speech: Path, model_root: ModelRoot) -> None:
    rows = [row for row in clips(speech, "en_turn_taking") if row["vad_check"]["max_internal_pause_s"] > 0.5]
    assert rows
    patient, hasty = (
        sum(isinstance(decision, TurnEnded) for row in rows for decision in play(model_root, speech, row, text))
        for text in ("I would like to", "It is so.")
    )
    assert patient < hasty


def play(model_root: ModelRoot, speech: Path, row: dict[str, Any], text: str) -> list[Decision]:
    return heard(listener(model_root), clip_path(speech, row), verdict=(0.95, text))


def test_the_rate_of_the_line_does_not_move_the_turn(speech: Path, model_root: ModelRoot) -> None:
    row = next(row for row in clips(speech, "en_read") if row["duration_s"] < 4)
    samples, rate = read_speech(clip_path(speech, row))
    ends = []
    for line_rate in (8_000, 16_000, 24_000, 48_000):
        pcm = float_to_pcm16(np.append(resample(samples, rate, line_rate), np.zeros(2 * line_rate, np.float32)))
        decisions = listener(model_root).push(pcm, line_rate)
        ends.append(next(decision.speech_end_s for decision in decisions if isinstance(decision, TurnEnded)))
    assert all(abs(one - other) < 0.1 for one, other in itertools.pairwise(ends))
