"""What a caller hears: whatever is no Realtime event ends the call by name, and never with a traceback."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.generator.failures import CallFailed
from voicectl.bench.generator.hearing import Hearing


class Ear:
    def __init__(self) -> None:
        self.news = 0
        self.failures: list[CallFailed] = []
        self.hearing = Hearing(self._told, self.failures.append)

    def _told(self) -> None:
        self.news += 1

    def hear(self, kind: str, at: float = 1.0, **fields: Any) -> None:
        self.hearing.message(json.dumps({"type": kind, **fields}).encode(), at)


def delta(level: float, length_s: float = 0.02) -> str:
    samples = level * np.sin(2 * np.pi * 500 * (np.arange(round(length_s * RATE_HZ)) + 7) / RATE_HZ)
    return base64.b64encode((samples * 32767).astype("<i2").tobytes()).decode()


def test_response_is_audible_from_its_first_sound() -> None:
    ear = Ear()
    ear.hear("response.created", 1.0, response={"id": "a"})
    ear.hear("response.output_audio.delta", 2.0, response_id="a", delta=delta(0.0))
    assert ear.hearing.audible == {}
    ear.hear("response.output_audio.delta", 2.01, response_id="a", delta=delta(0.3))
    ear.hear("response.output_audio.delta", 2.03, response_id="a", delta=delta(0.3))
    # The second piece is played behind the first, which is not over when it comes.
    assert ear.hearing.audible == {0: pytest.approx(2.02, abs=0.001)}


def test_sound_wakes_a_waiting_caller_once_and_other_events_always() -> None:
    ear = Ear()
    ear.hear("response.created", response={"id": "a"})
    for _ in range(5):
        ear.hear("response.output_audio.delta", response_id="a", delta=delta(0.3))
    ear.hear("response.done", response={"id": "a", "status": "completed"})
    assert ear.news == 3


def test_session_tells_who_serves() -> None:
    ear = Ear()
    ear.hear("session.created", session={"model": "m", "audio": {"output": {"voice": "v"}}})
    assert ear.hearing.server == {"model": "m", "voice": "v"}
    assert ear.hearing.updated_at is None
    ear.hear("session.updated", 3.0, session={"model": "m"})
    assert ear.hearing.updated_at == 3.0


def test_server_that_hears_is_noted() -> None:
    ear = Ear()
    ear.hear("input_audio_buffer.speech_started", 4.0)
    assert ear.hearing.speech_started == [4.0]


@pytest.mark.parametrize("kind", ["response.audio.delta", "response.audio_transcript.delta", "response.text.delta"])
def test_names_of_before_ga_are_told(kind: str) -> None:
    ear = Ear()
    ear.hear(kind, response_id="a", delta="AAAA")
    (failure,) = ear.failures
    assert (failure.kind, failure.end) == ("beta-protocol", "lost")
    assert kind in str(failure)


@pytest.mark.parametrize(
    "message",
    [
        b"no json",
        b"[]",
        b"\xff\xfe",
        b'{"kind": "x"}',
        b'{"type": 7}',
        b'{"type": "response.created", "response": []}',
        b'{"type": "response.created", "response": {"id": []}}',
        b'{"type": "response.done", "response": {"id": "never"}}',
        b'{"type": "response.output_audio.delta", "response_id": "never", "delta": "AAAA"}',
        b'{"type": "error", "error": "text"}',
    ],
)
def test_what_is_no_event_ends_the_call(message: bytes) -> None:
    ear = Ear()
    ear.hearing.message(message, 1.0)
    (failure,) = ear.failures
    assert (failure.kind, failure.end) == ("malformed-event", "lost")


@pytest.mark.parametrize(
    "done",
    [
        {"output": [{"content": "text"}]},
        {"output": 7},
        {"metadata": "text"},
        {"metadata": {"voicectl.times": "{"}},
        {"metadata": {"voicectl.times": 7}},
        {"status": None},
    ],
)
def test_reply_that_ends_in_nonsense_ends_the_call(done: dict[str, Any]) -> None:
    ear = Ear()
    ear.hear("response.created", response={"id": "a"})
    ear.hear("response.done", response={"id": "a", "status": "completed", **done})
    assert [failure.kind for failure in ear.failures] == ["malformed-event"]


def test_audio_that_is_none_ends_the_call() -> None:
    ear = Ear()
    ear.hear("response.created", response={"id": "a"})
    ear.hear("response.output_audio.delta", response_id="a", delta="!")
    assert [failure.kind for failure in ear.failures] == ["malformed-event"]


def test_unknown_events_are_none_of_our_business() -> None:
    ear = Ear()
    ear.hear("rate_limits.updated", rate_limits=[])
    assert ear.failures == []
