"""Speech over the agent holds its voice at once; whether it is an interruption is decided while nobody talks over."""

from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.agent_script import PROFILE, Script
from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.core import events as ev


def telling(*, ask: bool = False) -> tuple[Script, str]:
    """Return a call in which the agent is heard, and the id of its reply."""
    call = Script()
    reply = call.say("Tell me a story.")
    call.reply(reply, "Do you know the king? " if ask else "Once upon a time there was a king. ", "He had a castle.")
    call.sound(reply)
    return call, reply


def begin(call: Script, *spoken_s: float) -> None:
    """Let the caller begin to speak over the agent, and go on."""
    call.tell(told.CallerStirred(0.032), told.CallerBegan(call.at), told.CallerSpeaking(0.064))
    call.tell(*(told.CallerSpeaking(seconds) for seconds in spoken_s))


def partial(call: Script, text: str | None) -> None:
    call.tell(told.PartialTranscribed(call.ordered(do.HearPartial)[-1].item_id, text))


def pause(call: Script, number: int = 7) -> int:
    """Let the caller pause; return what names the transcription."""
    call.tell(told.CallerHesitated(number))
    return int(call.ordered(do.Hear)[-1].hearing_id)


def pacing(call: Script) -> list[str]:
    """Return what was ordered of the voice, in order."""
    kinds = do.HoldPlayout | do.ResumePlayout | do.StopPlayout
    return [type(command).__name__.removesuffix("Playout") for command in call.all if isinstance(command, kinds)]


def test_the_voice_is_held_at_the_first_sound_of_the_caller() -> None:
    call, reply = telling()
    commands = call.tell(told.CallerStirred(0.032))
    assert commands == [do.HoldPlayout(reply), do.LimitHold(reply, 1, PROFILE.barge_in.max_hold_ms / 1000)]


def test_a_click_is_over_before_it_costs_anything() -> None:
    call, _ = telling()
    call.tell(told.CallerStirred(0.032), told.CallerStirred(0.0))
    assert pacing(call) == ["Hold", "Resume"]


def test_noise_holds_the_voice_until_it_is_known_to_be_noise() -> None:
    call, _ = telling()
    begin(call)
    assert pacing(call) == ["Hold"]
    call.tell(told.CallerWasNoise())
    assert pacing(call) == ["Hold", "Resume"]


def test_words_end_a_reply_that_was_held() -> None:
    call, reply = telling()
    begin(call, 0.3)
    partial(call, "wait a moment")
    assert pacing(call) == ["Hold"], "so short a piece of speech may be misheard, and nobody is talked over"
    call.tell(told.CallerSpeaking(0.52))
    assert pacing(call) == ["Hold", "Stop"]
    call.tell(told.PlayoutStopped(reply, "Once upon a", 700))
    assert call.events(ev.ResponseEnded)[0].text == "Once upon a"


def test_short_words_end_it_at_the_pause_after_them() -> None:
    call, _ = telling()
    begin(call, 0.3)
    call.tell(told.TurnTranscribed(pause(call), "Stop.", 0.6))
    assert pacing(call) == ["Hold", "Stop"]


@pytest.mark.parametrize("text", ["Uh-huh.", ""])
def test_the_agent_goes_on_after_a_pause_without_other_words(text: str) -> None:
    call, _ = telling()
    begin(call, 0.3)
    call.tell(told.TurnTranscribed(pause(call), text, 0.6))
    assert pacing(call) == ["Hold", "Resume"]
    call.tell(told.CallerFinished(call.at, call.at, "timeout"))
    assert pacing(call) == ["Hold", "Resume"]
    assert not call.events(ev.SpeechDiscarded)


def test_a_backchannel_known_before_the_pause_costs_no_more_than_the_pause() -> None:
    call, _ = telling()
    begin(call, 0.2)
    partial(call, "Uh-huh.")
    assert pacing(call) == ["Hold"], "nobody talks over a caller who goes on"
    pause(call)
    assert pacing(call) == ["Hold", "Resume"]


def test_a_partial_that_comes_in_the_pause_decides_as_well() -> None:
    call, _ = telling()
    begin(call, 0.2)
    pause(call)
    partial(call, "Yeah.")
    assert pacing(call) == ["Hold", "Resume"]


def test_an_old_partial_does_not_say_what_came_after_it() -> None:
    call, _ = telling()
    begin(call, 0.15)
    partial(call, "Yeah.")
    call.tell(told.CallerSpeaking(0.45))
    pause(call)
    assert pacing(call) == ["Hold"]


def test_who_goes_on_after_a_backchannel_is_listened_to_again() -> None:
    call, _ = telling()
    begin(call, 0.2)
    partial(call, "Yeah.")
    pause(call, 7)
    call.tell(told.CallerResumed(7), told.CallerSpeaking(0.25))
    assert pacing(call) == ["Hold", "Resume", "Hold"]
    call.tell(told.CallerSpeaking(0.6), after=0.2)
    partial(call, "Yeah, but why?")
    assert pacing(call) == ["Hold", "Resume", "Hold", "Stop"]


def test_okay_after_a_question_is_an_answer_and_not_a_backchannel() -> None:
    call, _ = telling(ask=True)
    begin(call, 0.2)
    partial(call, "Okay.")
    hearing = pause(call)
    assert pacing(call) == ["Hold"]
    call.tell(told.TurnTranscribed(hearing, "Okay.", 0.6))
    assert pacing(call) == ["Hold", "Stop"]


def test_the_first_words_are_asked_for_as_soon_as_there_can_be_any() -> None:
    call, _ = telling()
    begin(call)
    assert not call.ordered(do.HearPartial)
    call.tell(told.CallerSpeaking(0.128))
    assert [command.decides for command in call.ordered(do.HearPartial)] == [True]


def test_speech_that_goes_on_at_the_limit_has_the_floor() -> None:
    call, reply = telling()
    begin(call, 0.2)
    call.tell(told.CallerSpeaking(0.8), after=1.4)
    call.tell(told.HoldLasted(reply, 1))
    assert pacing(call) == ["Hold", "Stop"]


@pytest.mark.parametrize("waits_for", ["words", "audio"])
def test_an_agent_that_waits_in_vain_goes_on_at_the_limit(waits_for: str) -> None:
    call, reply = telling()
    begin(call, 0.2)
    if waits_for == "words":
        pause(call)
    call.tell(told.HoldLasted(reply, 1), after=1.5)
    assert pacing(call) == ["Hold", "Resume"]


def test_the_limit_of_an_earlier_hold_means_nothing() -> None:
    call, reply = telling()
    call.tell(told.CallerStirred(0.032), told.CallerStirred(0.0), told.CallerStirred(0.032))
    call.tell(told.HoldLasted(reply, 1))
    assert pacing(call) == ["Hold", "Resume", "Hold"]
    call.tell(told.HoldLasted(reply, 2))
    assert pacing(call) == ["Hold", "Resume", "Hold", "Resume"]


def test_a_recogniser_that_fails_lets_the_agent_go_on() -> None:
    call, _ = telling()
    begin(call, 0.3)
    call.tell(told.TurnNotTranscribed(pause(call), "worker stt died"))
    assert pacing(call) == ["Hold", "Resume"]


def test_who_may_not_interrupt_holds_nothing() -> None:
    call, _ = telling()
    call.tell(ev.SessionConfigured(ev.SessionSettings(interrupt_response=False)))
    begin(call, 0.3, 1.2)
    assert pacing(call) == []
    assert not call.ordered(do.HearPartial)


def test_a_reply_that_may_not_be_interrupted_any_more_goes_on() -> None:
    call, _ = telling()
    begin(call, 0.3)
    call.tell(ev.SessionConfigured(ev.SessionSettings(interrupt_response=False)), told.CallerSpeaking(0.35))
    assert pacing(call) == ["Hold", "Resume"]


def test_a_reply_that_is_not_audible_yet_is_not_held() -> None:
    call = Script()
    call.say("Tell me")
    call.tell(told.CallerStirred(0.032))
    assert pacing(call) == []


def finish_by_client(call: Script, _: str) -> None:
    call.tell(told.CallerFinished(call.at, call.at, "client"))
    call.tell(told.TurnTranscribed(call.ordered(do.Hear)[-1].hearing_id, "Uh-huh.", 0.6))


@pytest.mark.parametrize(
    "end", [finish_by_client, lambda call, _: call.tell(ev.AudioClearRequested())], ids=["commit", "clear"]
)
def test_a_turn_that_the_client_ends_lets_the_agent_go_on(end: Callable[[Script, str], object]) -> None:
    call, reply = telling()
    begin(call, 0.3)
    end(call, reply)
    assert pacing(call) == ["Hold", "Resume"]


def test_a_held_reply_can_be_cancelled_truncated_and_left() -> None:
    for last in (ev.ResponseCancelRequested(), told.ItemHeardUpTo("", 300, "Once", None), ev.CallerLeft("closed")):
        call, reply = telling()
        begin(call, 0.3)
        if isinstance(last, told.ItemHeardUpTo):
            last = told.ItemHeardUpTo(call.events(ev.ResponseStarted)[0].item_id, 300, "Once", None)
        commands = call.tell(last)
        assert do.Abandon(reply) in commands or do.StopPlayout(reply) in commands
        if do.StopPlayout(reply) in commands:
            call.tell(told.PlayoutStopped(reply, "Once", 300))
            assert call.events(ev.ResponseEnded)[0].text == "Once"
        assert "Resume" not in pacing(call)


def test_a_held_reply_that_fails_ends() -> None:
    call = Script()
    reply = call.say("Tell me a story.")
    call.tell(told.ReplyPiece(reply, "Once upon a time there was a king. "))
    call.sound(reply)
    begin(call, 0.3)
    call.tell(told.ReplyFailed(reply, "worker llm died"), told.ReplyFailed(reply, "worker llm died", 1))
    call.sound(reply)
    call.tell(told.PlayoutDrained(reply))
    assert call.events(ev.ResponseEnded)


class Overlap:
    """A caller who speaks over the agent in every way there is; each move is one that is possible then."""

    def __init__(self) -> None:
        self.call, self.reply = telling()
        self.state: Literal["silent", "stirring", "speaking", "pausing"] = "silent"
        self.speech_s = 0.0
        self.num_pauses = 10
        self.unheard: list[int] = []
        self.partials: list[str] = []

    def moves(self) -> list[Callable[[str | None], None]]:
        """Return what may happen now."""
        possible = {
            "silent": [self.stir],
            "stirring": [self.fall_silent, self.begin],
            "speaking": [self.speak, self.speak, self.hesitate, self.be_noise],
            "pausing": [self.go_on, self.finish],
        }[self.state]
        possible += [self.hear_partial] if self.partials else []
        possible += [self.transcribe] if self.unheard else []
        return [*possible, self.reach_limit]

    def tell(self, *inputs: told.AgentInput, after: float = 0.01) -> None:
        for one in inputs:
            commands = self.call.tell(one, after=after)
            self.unheard += [command.hearing_id for command in commands if isinstance(command, do.Hear)]
            self.partials += [command.item_id for command in commands if isinstance(command, do.HearPartial)]
            for command in commands:
                if isinstance(command, do.StopHearing):
                    self.unheard.remove(command.hearing_id)
            if do.StopPlayout(self.reply) in commands:
                self.call.tell(told.PlayoutStopped(self.reply, "Once", 200))

    def stir(self, _: str | None) -> None:
        self.state = "stirring"
        self.tell(told.CallerStirred(0.032))

    def fall_silent(self, _: str | None) -> None:
        self.state = "silent"
        self.tell(told.CallerStirred(0.0))

    def begin(self, _: str | None) -> None:
        self.state, self.speech_s = "speaking", 0.064
        self.tell(told.CallerBegan(self.call.at), told.CallerSpeaking(self.speech_s))

    def speak(self, _: str | None) -> None:
        self.speech_s += 0.1
        self.tell(told.CallerSpeaking(self.speech_s), after=0.1)

    def be_noise(self, _: str | None) -> None:
        self.state = "silent"
        self.tell(told.CallerWasNoise())

    def hesitate(self, _: str | None) -> None:
        self.state = "pausing"
        self.num_pauses += 1
        self.tell(told.CallerHesitated(self.num_pauses))

    def go_on(self, _: str | None) -> None:
        self.state, self.speech_s = "speaking", self.speech_s + 0.032
        self.tell(told.CallerResumed(self.num_pauses), told.CallerSpeaking(self.speech_s))

    def finish(self, _: str | None) -> None:
        self.state = "silent"
        self.tell(told.CallerFinished(self.call.at, self.call.at, "timeout"))

    def hear_partial(self, text: str | None) -> None:
        self.tell(told.PartialTranscribed(self.partials.pop(0), text))

    def transcribe(self, text: str | None) -> None:
        hearing = self.unheard.pop(0)
        self.tell(told.TurnNotTranscribed(hearing, "died") if text is None else told.TurnTranscribed(hearing, text, 1))

    def reach_limit(self, _: str | None) -> None:
        for command in self.call.ordered(do.LimitHold)[-1:]:
            self.tell(told.HoldLasted(command.response_id, command.number), after=1.5)

    def check(self) -> None:
        kinds, held = pacing(self.call), False
        for kind in kinds:
            assert kind == "Stop" or held == (kind == "Resume"), kinds
            held = kind == "Hold"
        assert kinds.count("Stop") == len(self.call.events(ev.ResponseEnded)) <= 1
        assert "Stop" not in kinds[:-1], "what was stopped is neither held nor resumed"
        if self.state == "silent" and not self.unheard:
            assert not held, "nobody speaks, and all that was said is known"
        limits = [command.number for command in self.call.ordered(do.LimitHold)]
        assert limits == list(range(1, kinds.count("Hold") + 1))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 59), st.sampled_from(["Uh-huh.", "Wait.", "", None])), max_size=40))
def test_every_hold_ends_as_soon_as_all_is_known(moves: list[tuple[int, str | None]]) -> None:
    overlap = Overlap()
    for number, text in moves:
        possible = overlap.moves()
        possible[number % len(possible)](text)
        overlap.check()
        if overlap.call.events(ev.ResponseEnded):
            return
