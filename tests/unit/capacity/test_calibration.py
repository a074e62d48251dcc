"""Tests of calibrations as files, of conversations, threads and what-ifs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.capacity_calibration import CALIBRATION
from tests.fakes.capacity_shapes import CONVERSATION, SPEEDS, TURN
from voicectl.capacity.calibration import read_calibration, write_calibration
from voicectl.capacity.conversation import REFERENCE, Conversation
from voicectl.capacity.sheets import model_sheet
from voicectl.capacity.speeds import thread_factor
from voicectl.capacity.whatif import Brain, extrapolations, moved
from voicectl.core.errors import ConfigError


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cpu.json"
    write_calibration(CALIBRATION, path)
    assert read_calibration(path) == CALIBRATION


def test_a_missing_calibration_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_calibration(tmp_path / "none.json")
    assert "plan calibrate" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("key", "value"),
    [("format", 9), ("speeds", {}), ("machine", None), ("conversation", {"turns": []}), ("residuals", [{}])],
)
def test_a_damaged_calibration_is_refused(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "cpu.json"
    write_calibration(CALIBRATION, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ConfigError):
        read_calibration(path)


def test_speeds_that_cannot_be_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cpu.json"
    write_calibration(CALIBRATION, path)
    document = json.loads(path.read_text())
    document["speeds"]["decode_s"] = -1.0
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match="no positive number"):
        read_calibration(path)


def test_what_lies_within_twice_the_calibration_is_no_extrapolation() -> None:
    assert extrapolations(CALIBRATION, CONVERSATION, 2048, {}) == []


def test_what_lies_beyond_is_named() -> None:
    long = Conversation("long", (replace(TURN, speech_s=30.0, prompt_tokens=900, clauses_s=(12.0,)),), 2.0)
    found = extrapolations(CALIBRATION, long, 9000, {"weights read a step": 3.0})
    assert len(found) == 5
    assert "speech of one turn, 30.0 s (1.2 to 13 were measured)" in found


def test_another_model_changes_speeds_by_its_size() -> None:
    sheet = model_sheet()
    small, large = (
        Brain(name, sheet.language_model(name)[0], 4.5, 2.0, 2048)
        for name in ("smollm2-135m-instruct-q4_0", "smollm2-360m-instruct-q4_0")
    )
    speeds, factors = moved(SPEEDS, small, large)
    assert speeds.decode_s / SPEEDS.decode_s == pytest.approx(361.8 / 134.5, rel=1e-3)
    assert factors["weights read a step"] > 2


def test_more_threads_help_by_amdahl_s_law() -> None:
    assert thread_factor(0.5, 1, 2) == pytest.approx(0.75)
    assert thread_factor(0.5, 2, 1) == pytest.approx(1 / 0.75)
    faster = SPEEDS.with_threads({"decode": 1, "stt": 1, "prefill": 1, "tts": 1}, {"stt": 2})
    assert faster.stt_window_s < SPEEDS.stt_window_s
    assert faster.decode_s == SPEEDS.decode_s


def test_a_talk_ratio_sets_the_time_to_think() -> None:
    fitted = CONVERSATION.fitted(talk_ratio=0.2)
    speech = sum(turn.speech_s for turn in fitted.turns) / len(fitted.turns)
    assert speech / fitted.cycle_s() == pytest.approx(0.2)


def test_a_talk_ratio_without_time_for_replies_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves no time"):
        CONVERSATION.fitted(talk_ratio=0.9)


def test_longer_replies_sound_longer() -> None:
    longer = REFERENCE.fitted(reply_tokens=60)
    assert all(turn.reply_tokens == 60 for turn in longer.turns)
    assert all(new.reply_s > old.reply_s for new, old in zip(longer.turns, REFERENCE.turns, strict=True))
