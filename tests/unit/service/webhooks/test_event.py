"""The JSON of an event."""

import json

from voicectl.service.webhooks.event import WebhookEvent, body_of, bounded, bounded_attributes, rfc3339


def test_the_body_has_type_timestamp_and_data() -> None:
    event = WebhookEvent("session.started", 1_700_000_000.1239, {"session_id": "sess_1"}, {"caller_text": "hello"})
    assert json.loads(body_of(event, include_transcripts=False)) == {
        "type": "session.started",
        "timestamp": "2023-11-14T22:13:20.123Z",
        "data": {"session_id": "sess_1"},
    }


def test_what_was_said_is_told_only_to_those_who_may_hear_it() -> None:
    event = WebhookEvent("call.turn_completed", 0.0, {"status": "completed"}, {"caller_text": "hello"})
    assert b"hello" not in body_of(event, include_transcripts=False)
    assert json.loads(body_of(event, include_transcripts=True))["data"] == {
        "status": "completed",
        "caller_text": "hello",
    }


def test_every_event_has_an_id_of_its_own() -> None:
    ids = {WebhookEvent("session.started", 0.0, {}).event_id for _ in range(100)}
    assert len(ids) == 100
    assert all(len(name) == 36 for name in ids)


def test_timestamps_always_have_milliseconds() -> None:
    assert rfc3339(0.0) == "1970-01-01T00:00:00.000Z"
    assert rfc3339(1.9999) == "1970-01-01T00:00:01.999Z"


def test_text_is_bounded_and_readable() -> None:
    assert bounded("x" * 9000) == "x" * 8000
    assert bounded("a\ud800b") == "a?b"
    attributes = bounded_attributes({f"key{number}": "v" * 300 for number in range(40)})
    assert len(attributes) == 32
    assert attributes["key0"] == "v" * 256
