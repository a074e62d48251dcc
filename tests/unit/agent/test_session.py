"""A conversation drives its planes by commands alone, so whole calls run here without audio or models."""

from tests.fakes.agent_script import Script
from voicectl.agent import commands as do
from voicectl.agent import inputs as told
from voicectl.agent.commands import Emit
from voicectl.core import events as ev
from voicectl.core.ports import Message


def test_turn_is_heard_answered_and_ends() -> None:
    call = Script()
    reply = call.say("What time is it?")
    call.reply(reply, "It is ", "ten o'clock. ", "Anything else?")
    call.sound(reply)
    call.tell(told.PlayoutDrained(reply))
    [ended] = call.events(ev.ResponseEnded)
    assert (ended.status, ended.text) == ("completed", "It is ten o'clock. Anything else?")
    assert "".join(piece.text for piece in call.events(ev.ReplyText)) == "It is ten o'clock. Anything else?"
    assert [final.text for final in call.events(ev.TranscriptFinal)] == ["What time is it?"]


def test_events_of_a_turn_come_in_wire_order() -> None:
    call = Script()
    call.reply(call.say("Hello."), "Hi there, friend.")
    kinds = [type(c.event) for c in call.all if isinstance(c, Emit)]
    assert kinds == [
        ev.SpeechStarted,
        ev.SpeechStopped,
        ev.AudioCommitted,
        ev.ItemAdded,
        ev.TranscriptFinal,
        ev.ItemDone,
        ev.ResponseStarted,
        ev.ItemAdded,
    ]


def test_reply_is_drafted_at_the_hesitation_and_released_at_the_commit() -> None:
    call = Script()
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1))
    call.tell(told.TurnTranscribed(1, "Hello.", 1.0))
    [compose] = call.ordered(do.Compose)
    assert compose.speculative
    call.reply(compose.response_id, "Hi there, friend.")
    assert len(call.ordered(do.Speak)) == 1
    assert not call.ordered(do.Release)
    assert not call.events(ev.ResponseStarted)
    call.tell(told.CallerFinished(1.0, 1.0, "complete"))
    assert [c.response_id for c in call.ordered(do.Release)] == [compose.response_id]


def test_only_the_first_clause_of_a_draft_is_synthesised() -> None:
    call = Script()
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.TurnTranscribed(1, "Hello.", 1.0))
    [compose] = call.ordered(do.Compose)
    call.reply(compose.response_id, "That is the first one. ", "This is the second one.")
    call.tell(told.ClauseStarted(compose.response_id, 0), told.ClauseEnded(compose.response_id, 0))
    assert [c.clause for c in call.ordered(do.Speak)] == [0]
    call.tell(told.CallerFinished(1.0, 1.0, "complete"))
    assert [c.clause for c in call.ordered(do.Speak)] == [0, 1]


def test_speech_after_a_pause_drops_the_draft() -> None:
    call = Script()
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.TurnTranscribed(1, "I would like", 1.0))
    [compose] = call.ordered(do.Compose)
    call.tell(told.CallerResumed(1))
    assert [c.response_id for c in call.ordered(do.Abandon)] == [compose.response_id]
    call.tell(told.CallerHesitated(2), told.TurnTranscribed(2, "I would like tea.", 2.0))
    call.tell(told.CallerFinished(2.0, 2.0, "complete"))
    assert call.ordered(do.Compose)[-1].messages[-1] == Message("user", "I would like tea.")
    assert [item.item.text for item in call.events(ev.ItemAdded)] == ["I would like tea."]


def test_transcription_still_running_at_resume_is_stopped() -> None:
    call = Script()
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.CallerResumed(1))
    assert [c.hearing_id for c in call.ordered(do.StopHearing)] == [1]
    call.tell(told.TurnTranscribed(1, "late words", 1.0))
    assert not call.ordered(do.Compose)


def test_commit_before_the_transcript_waits_for_it() -> None:
    call = Script()
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.CallerFinished(1.0, 1.0, "timeout"))
    assert not call.events(ev.AudioCommitted)
    call.tell(told.TurnTranscribed(1, "Hello.", 1.0))
    assert call.events(ev.AudioCommitted)
    assert call.events(ev.ResponseStarted)


def test_noise_never_becomes_a_turn() -> None:
    call = Script()
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.TurnTranscribed(1, "", 1.0))
    call.tell(told.CallerFinished(1.0, 1.0, "timeout"))
    assert not call.events(ev.AudioCommitted)
    assert not call.ordered(do.Compose)
    assert len(call.events(ev.SpeechDiscarded)) == 1


def test_barge_in_truncates_history_to_heard_text() -> None:
    call = Script()
    reply = call.say("Tell me a story.")
    call.reply(reply, "Once upon a time there was a king. ", "He had a castle.")
    call.sound(reply)
    call.tell(told.CallerBegan(5.0), told.CallerSpeaking(0.6), told.PartialTranscribed("item_4", "stop please"))
    assert [c.response_id for c in call.ordered(do.StopPlayout)] == [reply]
    call.tell(told.PlayoutStopped(reply, "Once upon a", 700))
    [ended] = call.events(ev.ResponseEnded)
    assert (ended.status, ended.reason, ended.text) == ("cancelled", "turn_detected", "Once upon a")
    call.tell(told.CallerHesitated(2), told.TurnTranscribed(2, "Stop please.", 1.0))
    messages = call.ordered(do.Compose)[-1].messages
    assert [m.content for m in messages[1:]] == ["Tell me a story.", "Once upon a", "Stop please."]


def test_backchannel_does_not_interrupt_and_is_no_turn() -> None:
    call = Script()
    reply = call.say("Tell me a story.")
    call.reply(reply, "Once upon a time there was a king. ", "He had a castle.")
    call.sound(reply)
    started = len(call.events(ev.SpeechStarted))
    call.tell(told.CallerBegan(5.0), told.CallerSpeaking(0.3), told.PartialTranscribed("item_4", "Uh-huh"))
    call.tell(told.CallerHesitated(2), told.TurnTranscribed(2, "Uh-huh.", 0.5))
    call.tell(told.CallerFinished(5.6, 5.6, "complete"))
    assert not call.ordered(do.StopPlayout)
    assert len(call.events(ev.SpeechStarted)) == started
    call.tell(told.PlayoutDrained(reply))
    assert call.events(ev.ResponseEnded)[0].status == "completed"


def test_long_speech_over_the_agent_interrupts_without_words() -> None:
    call = Script()
    reply = call.say("Tell me a story.")
    call.reply(reply, "Once upon a time there was a king.")
    call.sound(reply)
    call.tell(told.CallerBegan(5.0), told.CallerSpeaking(1.0))
    assert call.ordered(do.StopPlayout)


def test_speech_before_the_reply_is_audible_takes_the_floor_at_once() -> None:
    call = Script()
    reply = call.say("Tell me")
    call.tell(told.CallerBegan(5.0))
    assert [c.response_id for c in call.ordered(do.StopPlayout)] == [reply]
    call.tell(told.PlayoutStopped(reply, "", 0))
    call.tell(told.CallerHesitated(2), told.TurnTranscribed(2, "a story.", 1.0))
    assert call.ordered(do.Compose)[-1].messages[-1] == Message("user", "Tell me a story.")


def test_turn_that_settles_while_the_caller_speaks_again_gets_no_reply() -> None:
    call = Script()
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.CallerFinished(1.0, 1.0, "timeout"))
    call.tell(told.CallerBegan(1.2), told.TurnTranscribed(1, "I want", 1.0))
    assert not call.ordered(do.Compose)
    call.tell(told.CallerHesitated(2), told.TurnTranscribed(2, "some tea.", 1.0))
    assert call.ordered(do.Compose)[-1].messages[-1] == Message("user", "I want some tea.")


def test_failed_transcription_is_told() -> None:
    call = Script()
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.CallerFinished(1.0, 1.0, "timeout"))
    call.tell(told.TurnNotTranscribed(1, "worker stt died"))
    assert [failed.message for failed in call.events(ev.TranscriptFailed)] == ["worker stt died"]


def test_text_reply_needs_no_voice() -> None:
    call = Script()
    call.tell(ev.SessionConfigured(ev.SessionSettings(output_modality="text")))
    call.tell(ev.ItemCreateRequested(ev.Item("mine", "user", "Hi")), ev.ResponseRequested(metadata={"k": "v"}))
    reply = call.ordered(do.Compose)[-1].response_id
    call.reply(reply, "Hello ", "you.")
    assert not call.ordered(do.Speak)
    assert [piece.text for piece in call.events(ev.ReplyText)] == ["Hello ", "you."]
    [ended] = call.events(ev.ResponseEnded)
    assert (ended.status, ended.metadata) == ("completed", {"k": "v"})


def test_second_response_is_refused_while_one_is_live() -> None:
    call = Script()
    call.say("Hello.")
    call.tell(ev.ResponseRequested(event_id="e1"))
    [refused] = call.events(ev.ActionRejected)
    assert (refused.code, refused.event_id) == ("conversation_already_has_active_response", "e1")


def test_cancel_without_a_response_is_refused_in_the_words_clients_match() -> None:
    call = Script()
    call.tell(ev.ResponseCancelRequested())
    [refused] = call.events(ev.ActionRejected)
    assert refused.code == "response_cancel_not_active"
    assert refused.message.startswith("Cancellation failed")


def test_client_commit_creates_an_entry_but_no_reply() -> None:
    call = Script()
    call.tell(ev.SessionConfigured(ev.SessionSettings(endpointing="off")))
    call.tell(told.CallerFinished(1.0, 1.0, "client"))
    call.tell(ev.ResponseRequested())
    assert not call.ordered(do.Compose)
    call.tell(told.TurnTranscribed(1, "Hello.", 1.0))
    assert call.events(ev.AudioCommitted)
    assert call.ordered(do.Compose)[-1].messages[-1] == Message("user", "Hello.")


def test_client_commit_of_silence_still_becomes_an_entry() -> None:
    call = Script()
    call.tell(told.CallerFinished(1.0, 1.0, "client"), told.TurnTranscribed(1, "", 1.0))
    assert call.events(ev.AudioCommitted)
    assert [final.text for final in call.events(ev.TranscriptFinal)] == [""]


def test_commit_without_create_response_stays_silent() -> None:
    call = Script()
    call.tell(ev.SessionConfigured(ev.SessionSettings(create_response=False)))
    call.tell(told.CallerBegan(0.0), told.CallerHesitated(1), told.TurnTranscribed(1, "Hello.", 1.0))
    call.tell(told.CallerFinished(1.0, 1.0, "complete"))
    assert call.events(ev.AudioCommitted)
    assert not call.ordered(do.Compose)


def test_truncate_by_the_client_never_fails_and_only_shortens() -> None:
    call = Script()
    reply = call.say("Hello.")
    call.reply(reply, "Hi there, my friend.")
    call.sound(reply)
    call.tell(told.PlayoutDrained(reply))
    item = call.events(ev.ResponseEnded)[0].item_id
    call.tell(told.ItemHeardUpTo(item, 300, "Hi there,", "e1"), told.ItemHeardUpTo("nowhere", 300, "", "e2"))
    assert [cut.text for cut in call.events(ev.ItemTruncated)] == ["Hi there,", ""]
    call.tell(ev.ItemRetrieveRequested(item))
    assert call.events(ev.ItemRetrieved)[0].item.text == "Hi there,"


def test_truncating_the_reply_being_spoken_stops_it_and_is_told_once() -> None:
    call = Script()
    reply = call.say("Hello.")
    call.reply(reply, "Hi there, my friend.")
    call.sound(reply)
    item = call.events(ev.ResponseStarted)[0].item_id
    call.tell(told.ItemHeardUpTo(item, 300, "Hi there,", "e1"), told.PlayoutStopped(reply, "Hi there,", 320))
    assert [c.response_id for c in call.ordered(do.StopPlayout)] == [reply]
    assert [cut.event_id for cut in call.events(ev.ItemTruncated)] == ["e1"]
    assert call.events(ev.ResponseEnded)[0].text == "Hi there,"


def test_reply_cut_at_the_token_limit_is_incomplete() -> None:
    call = Script()
    reply = call.say("Hello.")
    call.tell(told.ReplyPiece(reply, "Hi there, my", "length"))
    call.sound(reply)
    call.tell(told.PlayoutDrained(reply))
    [ended] = call.events(ev.ResponseEnded)
    assert (ended.status, ended.reason) == ("incomplete", "max_output_tokens")


def test_times_of_a_turn_are_complete_and_ordered() -> None:
    call = Script()
    reply = call.say("Hello.")
    call.reply(reply, "Hi there, my friend.")
    call.sound(reply)
    call.tell(told.PlayoutDrained(reply))
    times = call.events(ev.ResponseEnded)[0].times
    path = (times.hesitated_at, times.transcribed_at, times.committed_at, times.first_clause_at, times.first_audio_at)
    assert None not in (*path, times.first_sent_at, times.last_voiced_position_s, times.last_voiced_at)
    assert list(path) == sorted(path)


def test_caller_who_leaves_stops_all_work() -> None:
    call = Script()
    reply = call.say("Hello.")
    commands = call.tell(ev.CallerLeft("closed"))
    assert do.Abandon(reply) in commands


def test_partial_words_are_told_once_settled() -> None:
    call = Script()
    call.tell(told.CallerBegan(0.0), told.CallerSpeaking(0.7))
    [partial] = call.ordered(do.HearPartial)
    call.tell(told.PartialTranscribed(partial.item_id, "I would like"))
    call.tell(told.CallerSpeaking(1.4), after=0.7)
    call.tell(told.PartialTranscribed(partial.item_id, "I would like some tea"))
    assert [delta.text for delta in call.events(ev.TranscriptDelta)] == ["I would like"]
