"""What observers saw becomes numbered, redacted events."""

from tests.fakes.recorded_call import AROUND, STARTED_AT, identity, scribe, turn, whole_call, written
from tests.fakes.redaction import MASK, SECRET, FakeRedactor
from voicectl.core import events as ev
from voicectl.service.recording.pseudonyms import caller_hash
from voicectl.service.recording.scribe import LEAP_PER_MS, Began, Ended, Noted, Scribe

CALL = identity(attributes={"caller": "+49 30 1234", "ticket": "42", "note": f"pan {SECRET}", "dropped": "x"})


def kinds(events: list[object]) -> list[str]:
    return [event.kind for event in events]  # type: ignore[attr-defined]


def test_events_are_numbered_from_zero_without_gaps() -> None:
    events = written(scribe(), whole_call(CALL, turns=3))
    assert [event.sequence for event in events] == list(range(8))
    assert events[1].at == STARTED_AT + 10


def test_the_first_event_says_what_the_call_is_and_hashes_its_caller() -> None:
    (opening,) = written(scribe(), [Noted(CALL, Began(), 0.0)])
    body = opening.body
    assert (body["use_case"], body["tier"], body["tenant"], body["probe"]) == ("order_status", "low", "key1", False)
    assert body["caller_key"] == caller_hash(b"k" * 32)("+49301234")
    assert body["attributes"] == {"ticket": "42", "note": "pan [card]", "dropped": None}
    assert "1234" not in str(body["attributes"])


def test_a_call_that_says_so_is_a_probe() -> None:
    calls = [identity(attributes={"probe": value}) for value in ("1", "true", "0", "maybe")]
    openings = [written(scribe(), [Noted(call, Began(), 0.0)])[0] for call in calls]
    assert [opening.body["probe"] for opening in openings] == [True, True, False, False]


def test_a_secret_that_stands_for_a_consents_id_is_masked_and_the_consent_still_there() -> None:
    call = identity(attributes={"direction": "outbound", "consent_id": f"crm-{SECRET}", "consent_at": "soon"})
    (opening,) = written(scribe(), [Noted(call, Began(), 0.0)])
    assert (opening.body["direction"], opening.body["consent_id"]) == ("outbound", f"crm-{MASK}")
    assert "consent_at" not in opening.body
    assert "consent_id" not in opening.body["attributes"]


def test_a_call_without_a_purpose_has_the_gateways() -> None:
    (opening,) = written(scribe(), [Noted(identity(purpose=None), Began(), 0.0)])
    assert opening.body["use_case"] == "faq"


def test_a_call_taken_up_by_another_gateway_leaps_over_what_that_one_cannot_know() -> None:
    back = identity(started_at=STARTED_AT + 60, resumed=True)
    (event,) = written(scribe(), [Noted(back, Began(), 0.0)])
    assert (event.kind, event.sequence) == ("call_resumed", round((STARTED_AT + 60) * 1000) * LEAP_PER_MS)
    assert event.sequence < 2**53


def test_a_clock_that_was_set_back_does_not_number_events_twice() -> None:
    by = scribe()
    first = written(by, whole_call(identity(resumed=True)))
    again = written(by, whole_call(identity(started_at=STARTED_AT - 5000, resumed=True)))
    assert again[0].sequence == first[-1].sequence + 1


def test_without_a_redactor_no_words_and_no_attributes_are_written() -> None:
    seen = [Noted(CALL, Began(), 0.0), *turn(CALL, 1, heard="secret words", said="secret reply")]
    events = written(Scribe(AROUND, None), seen)
    assert "secret" not in str(events)
    assert "ticket" not in str(events)
    assert kinds(events) == ["call_started", "caller_said", "reply_ended"]


def test_what_is_still_open_at_the_end_is_settled_before_it() -> None:
    redactor = FakeRedactor()
    seen = [Noted(CALL, Began(), 0.0), Noted(CALL, ev.TranscriptFinal("i", "card wait", 1.0), 1.0)]
    events = written(scribe(redactor), [*seen, Noted(CALL, Ended("the client closed the connection"), 2.0)])
    assert kinds(events) == ["call_started", "caller_said", "text_revised", "call_ended"]
    assert redactor.calls[0].closed


def test_replies_beside_the_conversation_are_no_turns() -> None:
    started = ev.ResponseStarted("r", "i", None, "text", out_of_band=True)
    ended = ev.ResponseEnded("r", "i", "completed", "a summary", "text")
    events = written(scribe(), [Noted(CALL, Began(), 0.0), Noted(CALL, started, 1.0), Noted(CALL, ended, 2.0)])
    assert kinds(events) == ["call_started"]


def test_typed_words_are_words() -> None:
    typed = ev.ItemAdded(ev.Item("i", "user", f"pay with {SECRET}"), None)
    spoken = ev.ItemAdded(ev.Item("j", "user", "", "audio", complete=False), None)
    events = written(scribe(), [Noted(CALL, Began(), 0.0), Noted(CALL, typed, 1.0), Noted(CALL, spoken, 1.0)])
    assert [event.body["text"] for event in events[1:]] == ["pay with [card]"]


def test_instructions_and_arguments_are_never_written() -> None:
    item = ev.Item("f", "assistant", '{"name":"Ann"}', kind="function_call", call_id="c", name="find")
    seen = [
        Noted(CALL, Began(), 0.0),
        Noted(CALL, ev.SettingsChanged(ev.SessionSettings(instructions="Talk to Ann")), 1.0),
        Noted(CALL, ev.ToolCalled("r", item, None, by_gateway=True), 1.0),
        Noted(CALL, ev.ActionRejected("invalid_value", "Ann is no value"), 1.0),
        Noted(CALL, ev.ServiceDegraded(1, ("partials",), "llm"), 1.0),
    ]
    events = written(scribe(), seen)
    assert "Ann" not in str(events)
    assert kinds(events)[1:] == ["prompt_set", "tool_called", "action_rejected", "service_degraded"]


def test_texts_that_no_database_can_hold_are_made_so() -> None:
    seen = [Noted(CALL, Began(), 0.0), *turn(CALL, 1, heard="a\0b\ud800c", said="x" * 100_000)]
    events = written(scribe(), seen)
    assert events[1].body["text"] == "a\ufffdb?c"
    assert len(events[2].body["text"]) == 32_768


def test_ids_that_clients_chose_are_digests_where_they_hold_secrets_and_revisions_find_them() -> None:
    secret = ev.ItemAdded(ev.Item(f"item_{SECRET}", "user", "on my way wait"), None)
    plain = ev.ItemAdded(ev.Item("item_1", "user", "yes"), None)
    failed = ev.TranscriptFailed(f"item_{SECRET}", "none")
    seen = [Noted(CALL, Began(), 0.0), *(Noted(CALL, event, 1.0) for event in (secret, plain, failed))]
    events = written(scribe(), seen)
    assert kinds(events)[1:] == ["caller_said", "caller_said", "text_revised", "transcript_failed"]
    first, second, revised, again = [event.body["item_id"] for event in events[1:]]
    assert first == revised == again
    assert first.startswith("masked_")
    assert second == "item_1"
    assert SECRET not in str(events)


def test_names_that_clients_chose_are_redacted() -> None:
    call = identity(attributes={SECRET: "x"})
    item = ev.Item("f", "assistant", "{}", kind="function_call", call_id="c", name=f"pay_{SECRET}")
    events = written(scribe(), [Noted(call, Began(), 0.0), Noted(call, ev.ToolCalled("r", item, None), 1.0)])
    assert SECRET not in str(events)
    assert (events[0].body["attributes"], events[1].body["name"]) == ({MASK: "x"}, f"pay_{MASK}")


def test_a_long_text_is_redacted_before_it_is_cut() -> None:
    text = "x" * (32_768 - 8) + SECRET
    events = written(scribe(), [Noted(CALL, Began(), 0.0), *turn(CALL, 1, said=text)])
    assert SECRET[:8] not in events[2].body["text"]


def test_a_confession_about_a_call_that_is_over_does_not_open_it_again() -> None:
    by = scribe()
    written(by, whole_call(CALL, turns=1))
    confession = by.confess(CALL, 4, STARTED_AT + 99)
    assert (confession.sequence, confession.kind) == (4, "events_lost")
    assert by.live == ()
