"""A stage that fails costs time or words, never the call."""

from tests.fakes.agent_script import PROFILE, Script
from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.core import events as ev

FALLBACK = PROFILE.fallback


def finished(call: Script, reply: str) -> ev.ResponseEnded:
    call.sound(reply)
    call.tell(told.PlayoutDrained(reply))
    ended: ev.ResponseEnded = call.events(ev.ResponseEnded)[-1]
    return ended


def test_a_language_model_that_fails_once_costs_a_moment() -> None:
    call = Script()
    reply = call.say("Hello.")
    call.tell(told.ReplyFailed(reply, "worker llm died"))
    compose = call.ordered(do.Compose)[-1]
    assert (compose.response_id, compose.attempt) == (reply, 1)
    assert [c.text.strip() for c in call.ordered(do.Speak)] == [FALLBACK.wait_text]
    call.sound(reply)
    call.reply(reply, "Hi there, friend.", attempt=1)
    ended = finished(call, reply)
    assert (ended.status, ended.text) == ("completed", f"{FALLBACK.wait_text} Hi there, friend.")
    assert not call.events(ev.EscalationRequested)


def test_a_language_model_that_fails_twice_ends_in_an_apology_and_a_call_for_help() -> None:
    call = Script()
    reply = call.say("Hello.")
    call.tell(told.ReplyFailed(reply, "worker llm died"), told.ReplyFailed(reply, "breaker open", 1))
    [escalation] = call.events(ev.EscalationRequested)
    assert (escalation.reason, escalation.message) == ("llm", "breaker open")
    ended = finished(call, reply)
    assert (ended.status, ended.text) == ("completed", f"{FALLBACK.wait_text} {FALLBACK.escalate_text}")
    assert call.say("Hello again.", pause_id=2) != reply


def test_pieces_of_an_attempt_that_failed_are_ignored() -> None:
    call = Script()
    reply = call.say("Hello.")
    call.tell(told.ReplyFailed(reply, "worker llm died"), told.ReplyPiece(reply, "late words. ", "stop"))
    call.tell(told.ReplyFailed(reply, "again the first"))
    assert not call.events(ev.EscalationRequested)
    assert len(call.ordered(do.Compose)) == 2


def test_a_reply_that_breaks_goes_on_behind_what_was_said() -> None:
    call = Script()
    reply = call.say("Tell me a story.")
    call.tell(told.ReplyPiece(reply, "Once upon a time, "), told.ReplyPiece(reply, "there was a k"))
    call.sound(reply)
    call.tell(told.ReplyFailed(reply, "worker llm died"))
    assert len(call.ordered(do.Speak)) == 1
    call.reply(reply, "Once upon a ", "time, there was ", "a king.", attempt=1)
    ended = finished(call, reply)
    assert (ended.status, ended.text) == ("completed", "Once upon a time, there was a king.")


def test_a_reply_that_breaks_and_is_written_otherwise_goes_on_with_the_next_sentence() -> None:
    call = Script()
    reply = call.say("When do you open?")
    call.tell(told.ReplyPiece(reply, "We open at nine. And we "))
    call.sound(reply)
    call.tell(told.ReplyFailed(reply, "worker llm died"))
    call.reply(reply, "The shop opens at nine. It closes at six.", attempt=1)
    assert finished(call, reply).text == "We open at nine. It closes at six."


def test_a_draft_that_fails_is_written_again_once_the_turn_is_over() -> None:
    call = Script()
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.TurnTranscribed(1, "Hello.", 1.0))
    reply = call.ordered(do.Compose)[-1].response_id
    call.tell(told.ReplyFailed(reply, "worker llm died"))
    assert len(call.ordered(do.Compose)) == 1
    call.tell(told.CallerFinished(1.0, 1.0, "complete"))
    assert [c.attempt for c in call.ordered(do.Compose)] == [0, 1]


def test_a_late_reply_makes_the_agent_ask_to_wait() -> None:
    call = Script()
    reply = call.say("Hello.")
    assert do.Remind(reply, FALLBACK.wait_s) in call.all
    call.tell(told.Reminded(reply))
    assert [c.text.strip() for c in call.ordered(do.Speak)] == [FALLBACK.wait_text]


def test_a_reply_in_time_does_not() -> None:
    call = Script()
    reply = call.say("Hello.")
    call.reply(reply, "Hi there, friend.")
    call.tell(told.Reminded(reply))
    assert [c.text for c in call.ordered(do.Speak)] == ["Hi there, friend."]


def test_a_text_reply_is_tried_twice_and_then_fails() -> None:
    call = Script()
    call.tell(ev.ResponseRequested(output_modality="text"))
    reply = call.ordered(do.Compose)[-1].response_id
    call.tell(told.ReplyPiece(reply, "Hel"), told.ReplyFailed(reply, "died"))
    call.tell(told.ReplyPiece(reply, "Hello", attempt=1), told.ReplyFailed(reply, "died again", 1))
    [ended] = call.events(ev.ResponseEnded)
    assert (ended.status, ended.reason, ended.text) == ("failed", "died again", "Hello")
    assert len(call.events(ev.EscalationRequested)) == 1


def test_a_voice_that_fails_leaves_the_words_as_text() -> None:
    call = Script()
    reply = call.say("When do you open?")
    call.reply(reply, "We open at nine. ", "We close at six.")
    call.tell(told.ClauseFailed(reply, 0, "worker tts died"), told.ClauseFailed(reply, 1, "worker tts died"))
    call.tell(told.PlayoutDrained(reply))
    assert "".join(event.text for event in call.events(ev.ReplyText)) == "We open at nine. We close at six."
    [ended] = call.events(ev.ResponseEnded)
    assert (ended.status, ended.reason) == ("failed", "worker tts died")
    assert ended.text == "We open at nine. We close at six."
    assert [event.reason for event in call.events(ev.EscalationRequested)] == ["tts"]


def test_a_voice_that_fails_for_one_clause_does_not_fail_the_reply() -> None:
    call = Script()
    reply = call.say("When do you open?")
    call.reply(reply, "We open at nine. ", "We close at six.")
    call.tell(told.ClauseFailed(reply, 0, "worker tts died"))
    call.tell(told.ClauseStarted(reply, 1), told.ClauseEnded(reply, 1), told.PlayoutDrained(reply))
    assert call.events(ev.ResponseEnded)[0].status == "completed"


def test_a_voice_that_fails_for_a_draft_is_asked_again() -> None:
    call = Script()
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.TurnTranscribed(1, "Hello.", 1.0))
    reply = call.ordered(do.Compose)[-1].response_id
    call.reply(reply, "Hi there, friend.")
    call.tell(told.ClauseFailed(reply, 0, "worker tts died"))
    assert len(call.ordered(do.Speak)) == 1
    call.tell(told.CallerFinished(1.0, 1.0, "complete"))
    assert [c.clause for c in call.ordered(do.Speak)] == [0, 0]


def unheard(call: Script, hearing_id: int) -> None:
    call.tell(told.CallerBegan(0.0), told.CallerFinished(1.0, 1.0, "timeout"))
    call.tell(told.TurnNotTranscribed(hearing_id, "worker stt died"))


def test_a_turn_that_could_not_be_heard_is_not_met_with_silence() -> None:
    call = Script()
    unheard(call, 1)
    [spoken] = call.ordered(do.Speak)
    assert spoken.text.strip() == FALLBACK.sorry_text
    assert not call.ordered(do.Compose)
    ended = finished(call, spoken.response_id)
    assert (ended.status, ended.text) == ("completed", FALLBACK.sorry_text)


def test_two_turns_in_a_row_that_could_not_be_heard_call_for_help() -> None:
    call = Script()
    unheard(call, 1)
    finished(call, call.ordered(do.Speak)[-1].response_id)
    unheard(call, 2)
    assert call.ordered(do.Speak)[-1].text.strip() == FALLBACK.escalate_text
    assert [event.reason for event in call.events(ev.EscalationRequested)] == ["stt"]


def test_a_turn_that_nobody_wants_answered_is_only_told() -> None:
    call = Script()
    call.tell(ev.SessionConfigured(ev.SessionSettings(create_response=False)))
    unheard(call, 1)
    assert not call.events(ev.ResponseStarted)
