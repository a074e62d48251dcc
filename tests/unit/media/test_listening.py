"""What a listener keeps and forgets, with voice activity read from the level of the audio."""

import numpy as np
import pytest

from voicectl.core.audio import Samples, float_to_pcm16
from voicectl.core.sections.media import Endpointing, VadSettings
from voicectl.media.endpointing import Decision, Endpointer, Evidence, Hesitated, SpeechBegan, TurnEnded
from voicectl.media.listening import Listener
from voicectl.media.vad import VAD_FRAME_SAMPLES, VadFrame, level_dbfs

RATE = 16_000


class LevelDetector:
    """Takes what is loud for speech."""

    def __init__(self) -> None:
        self.position = 0
        self.waiting: Samples = np.zeros(0, dtype=np.float32)

    def reset(self, position: int = 0) -> None:
        self.position = position
        self.waiting = np.zeros(0, dtype=np.float32)

    def push(self, samples: Samples) -> list[VadFrame]:
        self.waiting = np.concatenate((self.waiting, samples))
        frames = []
        while self.waiting.size >= VAD_FRAME_SAMPLES:
            frame, self.waiting = self.waiting[:VAD_FRAME_SAMPLES], self.waiting[VAD_FRAME_SAMPLES:]
            start_s = self.position / RATE
            self.position += VAD_FRAME_SAMPLES
            level = level_dbfs(frame)
            frames.append(VadFrame(start_s, self.position / RATE, 0.9 if level > -40 else 0.05, level))
        return frames


def listener(settings: Endpointing | None = None) -> Listener:
    vad = VadSettings()
    return Listener(LevelDetector(), Endpointer(settings or Endpointing(), vad), vad)  # type: ignore[arg-type]


def voice(seconds: float, rate: int = RATE) -> bytes:
    return float_to_pcm16((0.3 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)).astype(np.float32))


def silence(seconds: float, rate: int = RATE) -> bytes:
    return bytes(2 * round(seconds * rate))


def in_frames(ear: Listener, pcm: bytes, rate: int = RATE) -> list[Decision]:
    step = rate // 50 * 2
    return [decision for at in range(0, len(pcm), step) for decision in ear.push(pcm[at : at + step], rate)]


def kinds(decisions: list[Decision]) -> list[type]:
    return [type(decision) for decision in decisions]


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100])
def test_a_turn_is_heard_at_any_rate_where_it_was(rate: int) -> None:
    ear = listener()
    decisions = in_frames(ear, silence(1.0, rate) + voice(1.0, rate) + silence(1.0, rate), rate)
    assert kinds(decisions) == [SpeechBegan, Hesitated, TurnEnded]
    assert decisions[0] == SpeechBegan(pytest.approx(1.0, abs=0.05))
    assert isinstance(decisions[2], TurnEnded)
    assert decisions[2].speech_end_s == pytest.approx(2.0, abs=0.05)
    assert ear.position_s == pytest.approx(3.0, abs=0.01)


def test_the_audio_of_a_turn_has_its_prefix_and_stays_until_it_is_reset() -> None:
    ear = listener()
    in_frames(ear, silence(2.0) + voice(1.0) + silence(1.0))
    audio = ear.turn_audio()
    assert audio.size / RATE == pytest.approx(0.3 + 1.0 + 0.8, abs=0.12)
    assert level_dbfs(audio[: RATE // 5]) < -90
    ear.reset_turn()
    assert ear.buffered_seconds() < 0.6


def test_a_turn_that_begins_before_the_last_was_reset_is_not_lost() -> None:
    ear = listener()
    decisions = ear.push(voice(1.0) + silence(1.0) + voice(0.5), RATE)
    assert kinds(decisions) == [SpeechBegan, Hesitated, TurnEnded, SpeechBegan]
    assert ear.turn_audio().size / RATE == pytest.approx(1.8, abs=0.1)
    ear.reset_turn()
    assert ear.speaking
    assert ear.turn_audio().size / RATE == pytest.approx(0.8, abs=0.1)


def test_evidence_ends_a_turn_and_keeps_its_audio() -> None:
    ear = listener()
    decisions = in_frames(ear, voice(1.0) + silence(0.5))
    [pause] = [decision for decision in decisions if isinstance(decision, Hesitated)]
    assert ear.weigh(Evidence(pause.pause_id, completeness=0.9)) == []
    assert kinds(ear.weigh(Evidence(pause.pause_id, text="Yes, please."))) == [TurnEnded]
    in_frames(ear, silence(5.0))
    assert ear.turn_audio().size / RATE == pytest.approx(1.5, abs=0.05)


def test_speech_and_level_are_told_while_it_lasts() -> None:
    ear = listener()
    in_frames(ear, voice(0.5))
    assert ear.speaking
    assert ear.speech_seconds() == pytest.approx(0.5, abs=0.04)
    assert ear.level_dbfs == pytest.approx(-13.5, abs=1)


def test_hours_of_silence_are_not_kept() -> None:
    ear = listener()
    for _ in range(60):
        ear.push(silence(10.0), RATE)
    assert ear.buffered_seconds() < 0.6
    assert ear.position_s == pytest.approx(600.0)


def test_speech_without_end_is_cut_into_turns_and_not_kept() -> None:
    ear = listener(Endpointing(max_turn_s=2.0))
    turns = 0
    for _ in range(100):
        for decision in ear.push(voice(1.0), RATE):
            if isinstance(decision, TurnEnded):
                turns += 1
                ear.reset_turn()
        assert ear.buffered_seconds() < 2.6
    assert 45 <= turns <= 50


def test_a_client_that_ends_its_turns_itself_gets_everything_since_the_last_commit() -> None:
    ear = listener()
    ear.configure(endpointing=False)
    assert in_frames(ear, voice(1.0) + silence(2.0) + voice(1.0)) == []
    assert not ear.speaking
    assert ear.commit().size / RATE == pytest.approx(4.0, abs=0.01)
    assert ear.buffered_seconds() == 0.0


def test_a_client_that_never_commits_is_not_kept_for_ever() -> None:
    ear = listener(Endpointing(max_turn_s=5.0))
    ear.configure(endpointing=False)
    for _ in range(60):
        ear.push(voice(1.0), RATE)
    assert ear.buffered_seconds() < 5.6


def test_endpointing_can_be_switched_on_again_at_the_right_position() -> None:
    ear = listener()
    ear.configure(endpointing=False)
    in_frames(ear, voice(1.0))
    ear.clear()
    ear.configure()
    [began] = in_frames(ear, silence(1.0) + voice(0.2))
    assert began == SpeechBegan(pytest.approx(2.0, abs=0.05))


def test_a_commit_in_the_middle_of_speech_takes_what_was_said() -> None:
    ear = listener()
    in_frames(ear, silence(1.0) + voice(1.0))
    assert ear.commit().size / RATE == pytest.approx(1.3, abs=0.1)
    assert not ear.speaking
    assert ear.buffered_seconds() == 0.0


def test_a_clear_forgets_the_turn() -> None:
    ear = listener()
    in_frames(ear, voice(1.0))
    ear.clear()
    assert ear.buffered_seconds() == 0.0
    assert in_frames(ear, silence(2.0)) == []


def test_a_pause_that_the_client_chose_ends_the_turn() -> None:
    ear = listener()
    ear.configure(silence_ms=200)
    *_, turn = in_frames(ear, voice(1.0) + silence(0.4))
    assert isinstance(turn, TurnEnded)
    assert turn.position_s - turn.speech_end_s == pytest.approx(0.2, abs=0.02)


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="3 bytes"):
        listener().push(b"abc", RATE)
