"""Turns out of scripted voice activity: `#` is a voiced frame, `.` a silent one, 32 ms each."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.core.sections.media import Endpointing, VadSettings
from voicectl.media.endpointing import (
    Decision,
    Discarded,
    Endpointer,
    Evidence,
    Hesitated,
    Resumed,
    SpeechBegan,
    TurnEnded,
)
from voicectl.media.vad import VAD_FRAME_S, VadFrame

SETTINGS = Endpointing()
HALF_FRAME_S = VAD_FRAME_S / 2 + 1e-6


class Script:
    """Plays frames into an endpointer and keeps every decision."""

    def __init__(self, settings: Endpointing = SETTINGS) -> None:
        self.endpointer = Endpointer(settings, VadSettings())
        self.decisions: list[Decision] = []
        self.num_frames = 0

    def play(self, activity: str, *, voiced: float = 0.9, level: float = -20.0) -> list[Decision]:
        made: list[Decision] = []
        for symbol in activity:
            start_s = self.num_frames * VAD_FRAME_S
            self.num_frames += 1
            probability, loudness = (voiced, level) if symbol == "#" else (0.05, -70.0)
            frame = VadFrame(start_s, self.num_frames * VAD_FRAME_S, probability, loudness)
            made += self.endpointer.hear(frame)
        self.decisions += made
        return made

    def weigh(self, completeness: float | None = None, text: str | None = None) -> list[Decision]:
        pauses = [decision.pause_id for decision in self.decisions if isinstance(decision, Hesitated)]
        made = list(self.endpointer.weigh(Evidence(pauses[-1], completeness, text)))
        self.decisions += made
        return made

    @property
    def position_s(self) -> float:
        return self.num_frames * VAD_FRAME_S


def ended(decisions: list[Decision]) -> list[TurnEnded]:
    return [decision for decision in decisions if isinstance(decision, TurnEnded)]


def test_speech_begins_where_its_first_frame_began() -> None:
    script = Script()
    assert script.play("..###") == [SpeechBegan(pytest.approx(2 * VAD_FRAME_S))]
    assert script.endpointer.speaking
    assert script.endpointer.speech_s == pytest.approx(3 * VAD_FRAME_S)


def test_sound_that_may_become_speech_is_known_from_its_first_frame_until_it_is_decided() -> None:
    script = Script()
    lasted_s = []
    for symbol in "#.###":
        script.play(symbol)
        lasted_s.append(script.endpointer.onset_s)
    assert lasted_s == pytest.approx([VAD_FRAME_S, 0.0, VAD_FRAME_S, 0.0, 0.0])


def test_a_click_of_one_frame_is_nothing() -> None:
    assert Script().play("..#....#....") == []


def test_speech_shorter_than_the_least_is_discarded_at_the_first_pause() -> None:
    script = Script()
    assert isinstance(script.play("##...")[-1], Discarded)
    assert not script.endpointer.speaking


def test_a_pause_is_a_hesitation_after_its_threshold() -> None:
    [_, hesitated] = Script().play("#####...")
    assert hesitated == Hesitated(1, pytest.approx(5 * VAD_FRAME_S), pytest.approx(8 * VAD_FRAME_S))


def test_a_turn_that_is_complete_ends_at_the_turn_taking_threshold() -> None:
    script = Script()
    script.play("#####....")
    assert script.weigh(0.9, "Yes, please.") == []
    [turn] = ended(script.play("." * 10))
    assert turn.reason == "complete"
    assert turn.position_s - turn.speech_end_s == pytest.approx(SETTINGS.turn_taking_ms / 1000, abs=HALF_FRAME_S)


def test_evidence_that_comes_late_ends_the_turn_as_it_comes() -> None:
    script = Script()
    script.play("#####" + "." * 15)
    assert script.weigh(0.9) == []
    [turn] = ended(script.weigh(text="Yes, please."))
    assert turn == TurnEnded(pytest.approx(5 * VAD_FRAME_S), pytest.approx(script.position_s), "complete")


def test_without_evidence_the_completion_threshold_decides() -> None:
    [turn] = ended(Script().play("#####" + "." * 40))
    assert turn.reason == "timeout"
    assert turn.position_s - turn.speech_end_s == pytest.approx(SETTINGS.completion_ms / 1000, abs=HALF_FRAME_S)


@pytest.mark.parametrize(
    ("completeness", "text", "threshold_ms"),
    [
        (0.1, "Yes, please.", SETTINGS.doubt_ms),
        (0.1, "yes please", SETTINGS.completion_ms),
        (0.9, "I would like to", SETTINGS.patience_ms),
        (0.9, "one zero zero", SETTINGS.patience_ms),
    ],
)
def test_less_complete_turns_wait_longer(completeness: float, text: str, threshold_ms: int) -> None:
    script = Script()
    script.play("#####...")
    script.weigh(completeness, text)
    [turn] = ended(script.play("." * 60))
    assert turn.position_s - turn.speech_end_s == pytest.approx(threshold_ms / 1000, abs=HALF_FRAME_S)


def test_a_caller_who_went_on_after_a_pause_is_given_more_than_that_pause() -> None:
    script = Script()
    script.play("#####" + "." * 8 + "#####...")
    script.weigh(0.9, "Yes, please.")
    [turn] = ended(script.play("." * 60))
    assert turn.position_s - turn.speech_end_s > 2 * 8 * VAD_FRAME_S


def test_evidence_about_a_pause_that_is_over_is_void() -> None:
    script = Script()
    script.play("#####...")
    assert script.play("#") == [Resumed(1)]
    assert script.weigh(0.9, "Yes.") == []
    [turn] = ended(script.play("." * 40))
    assert turn.reason == "timeout"


def test_evidence_without_a_turn_is_void() -> None:
    assert Script().endpointer.weigh(Evidence(1, 0.9, "Yes.")) == ()


def test_a_breath_in_a_pause_does_not_end_it() -> None:
    script = Script()
    script.play("#####...")
    assert script.play("#", voiced=0.4) == []


def test_reverberation_far_below_the_voice_is_silence() -> None:
    script = Script()
    script.play("##########", level=-20.0)
    [hesitated] = script.play("###", level=-55.0)
    assert isinstance(hesitated, Hesitated)
    assert hesitated.speech_end_s == pytest.approx(10 * VAD_FRAME_S)


def test_a_turn_that_is_too_long_ends_while_the_caller_speaks() -> None:
    script = Script(Endpointing(max_turn_s=1.0))
    [turn] = ended(script.play("#" * 34))
    assert turn.reason == "too_long"
    assert turn.position_s == pytest.approx(1.0, abs=VAD_FRAME_S)


def test_a_fixed_pause_ends_every_turn_whatever_was_said() -> None:
    script = Script()
    script.endpointer.configure(fixed_pause_ms=500, start_threshold=None)
    script.play("#####...")
    script.weigh(0.99, "Yes, please.")
    [turn] = ended(script.play("." * 30))
    assert turn.position_s - turn.speech_end_s == pytest.approx(0.5, abs=HALF_FRAME_S)


def test_a_start_threshold_of_the_client_replaces_the_profiles() -> None:
    script = Script()
    script.endpointer.configure(fixed_pause_ms=None, start_threshold=0.95)
    assert script.play("#####") == []


def test_a_reset_forgets_the_turn_without_a_decision() -> None:
    script = Script()
    script.play("#####")
    script.endpointer.reset()
    assert script.endpointer.began_s is None
    assert script.play("." * 40) == []


evidences = st.tuples(
    st.one_of(st.none(), st.floats(0, 1)),
    st.sampled_from([None, "", "Yes, please.", "I want the", "quit", "one two three", "um"]),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("play"), st.sampled_from("#."), st.integers(1, 60)),
        st.tuples(st.just("weigh"), evidences, st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_decisions_come_in_order_and_in_time(script_steps: list[tuple[str, object, int]]) -> None:
    script = Script(Endpointing(max_turn_s=8.0))
    for action, argument, count in script_steps:
        if action == "play":
            assert isinstance(argument, str)
            script.play(argument * count)
        elif any(isinstance(decision, Hesitated) for decision in script.decisions):
            assert isinstance(argument, tuple)
            script.weigh(*argument)
    check_order(script.decisions)
    for turn in ended(script.decisions):
        silence_s = turn.position_s - turn.speech_end_s
        assert silence_s <= SETTINGS.patience_ms / 1000 + HALF_FRAME_S
        if turn.reason != "too_long":
            assert silence_s >= SETTINGS.turn_taking_ms / 1000 - HALF_FRAME_S


def check_order(decisions: list[Decision]) -> None:
    """One end a beginning, a resumption only of the hesitation before it, pauses numbered upwards."""
    in_turn, pause_id, last_id = False, None, 0
    for decision in decisions:
        match decision:
            case SpeechBegan():
                assert not in_turn
                in_turn, pause_id = True, None
            case Hesitated(number):
                assert in_turn and pause_id is None and number > last_id
                pause_id = last_id = number
            case Resumed(number):
                assert in_turn and pause_id == number
                pause_id = None
            case TurnEnded() | Discarded():
                assert in_turn
                in_turn = False
    positions = [d.position_s for d in decisions if isinstance(d, Hesitated | TurnEnded)]
    assert all(earlier <= later for earlier, later in pairwise(positions))


@settings(max_examples=100, deadline=None)
@given(st.integers(3, 60), evidences)
def test_silence_ends_every_turn_by_the_upper_bound(voiced: int, evidence: tuple[float | None, str | None]) -> None:
    script = Script()
    script.play("#" * voiced + "...")
    script.weigh(*evidence)
    script.play("." * (SETTINGS.patience_ms // 32))
    assert len(ended(script.decisions)) == 1
