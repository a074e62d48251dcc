"""Server events become transcripts, replies and a timeline of played audio."""

import base64
from typing import Any

import numpy as np
import pytest

from voicectl.bench.call_record import RATE_HZ, CallRecord, WireError
from voicectl.core.audio import float_to_pcm16


def audio(length_s: float, response: str = "r1") -> dict[str, Any]:
    pcm = float_to_pcm16(np.full(round(length_s * RATE_HZ), 0.25, dtype=np.float32))
    return {
        "type": "response.output_audio.delta",
        "response_id": response,
        "delta": base64.b64encode(pcm).decode(),
    }


def created(response: str = "r1") -> dict[str, Any]:
    return {"type": "response.created", "response": {"id": response}}


def done(status: str = "completed", **more: Any) -> dict[str, Any]:
    return {"type": "response.done", "response": {"id": "r1", "status": status, "output": [], **more}}


def test_audio_plays_when_it_arrives_or_behind_what_is_playing() -> None:
    record = CallRecord()
    for event, at in ((created(), 1.0), (audio(0.2), 1.0), (audio(0.2), 1.1), (audio(0.2), 2.0)):
        record.note(event, at)
    assert [piece.play_at for piece in record.replies()[0].pieces] == pytest.approx([1.0, 1.2, 2.0])
    assert record.played_until == pytest.approx(2.2)


def test_interrupted_reply_falls_silent_at_once() -> None:
    record = CallRecord()
    for event, at in ((created(), 1.0), (audio(0.5), 1.0), (audio(0.5), 1.1), (done("cancelled"), 1.2)):
        record.note(event, at)
    (reply,) = record.replies()
    assert sum(piece.samples.size for piece in reply.pieces) == round(0.2 * RATE_HZ)
    assert record.played_until == pytest.approx(1.2)


def test_agent_track_lies_on_the_callers_timeline() -> None:
    record = CallRecord()
    record.note(created(), 5.0)
    record.note(audio(0.1), 5.5)
    track = record.agent_track(origin_at=5.0, length=RATE_HZ)
    assert np.flatnonzero(track)[0] == round(0.5 * RATE_HZ)
    assert track.size == RATE_HZ


def test_reply_text_of_the_final_event_wins_over_the_deltas() -> None:
    record = CallRecord()
    record.note(created(), 1.0)
    record.note({"type": "response.output_audio_transcript.delta", "response_id": "r1", "delta": "One two"}, 1.0)
    assert record.replies()[0].text == "One two"
    record.note(done(output=[{"content": [{"type": "output_audio", "transcript": "One"}]}]), 1.1)
    assert record.replies()[0].text == "One"
    assert record.active is None


def test_transcripts_are_joined_in_order() -> None:
    record = CallRecord()
    completed = "conversation.item.input_audio_transcription.completed"
    for item, text in (("a", " Hello. "), ("b", ""), ("c", "Bye.")):
        record.note({"type": completed, "item_id": item, "transcript": text}, 1.0)
    assert record.heard() == "Hello. Bye."
    assert record.heard(since=1) == "Bye."


def test_errors_are_kept_and_the_call_goes_on() -> None:
    record = CallRecord()
    record.note({"type": "error", "error": {"code": "x", "message": "no such item"}}, 1.0)
    assert record.errors == ["no such item"]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.created"},
        audio(0.1, "unknown"),
        {**audio(0.1), "delta": "***"},
        {**audio(0.1), "delta": base64.b64encode(b"odd").decode()},
        {"type": "response.done", "response": {"id": "unknown", "status": "completed"}},
        done(metadata={"voicectl.times": "[]"}),
    ],
)
def test_what_the_protocol_does_not_know_is_a_wire_error(event: dict[str, Any]) -> None:
    record = CallRecord()
    record.note(created(), 1.0)
    with pytest.raises(WireError):
        record.note(event, 1.0)
