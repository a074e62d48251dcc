"""What happens in calls becomes events."""

import json
from typing import Any

from voicectl.core import events as ev
from voicectl.core.ports import CallIdentity
from voicectl.service.webhooks.event import WebhookEvent, body_of
from voicectl.service.webhooks.observer import WebhookObserver, latencies_ms

CALL = CallIdentity("sess_1", "crm-key", 0.0, resumed=False, attributes={"ticket": "42"})
RESUMED = CallIdentity("sess_2", None, 0.0, resumed=True, attributes={})
TIMES = ev.StageTimes(hesitated_at=1.0, transcribed_at=1.2, committed_at=1.3, first_sent_at=1.35)
ENDED = ev.ResponseEnded("resp_1", "item_2", "completed", "From nine to five.", "audio", times=TIMES)


class Instants:
    def __init__(self) -> None:
        self.at = 50.0

    def now(self) -> float:
        return self.at


class Offered:
    """Collects events as receivers would see them."""

    def __init__(self) -> None:
        self.events: list[WebhookEvent] = []
        self.clock = Instants()
        self.observer = WebhookObserver(self.events.append, clock=self.clock, now=lambda: 1_700_000_000.0)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def last(self, *, include_transcripts: bool = False) -> dict[str, Any]:
        facts = json.loads(body_of(self.events[-1], include_transcripts=include_transcripts))["data"]
        assert isinstance(facts, dict)
        return facts


def test_a_session_starts_or_is_resumed() -> None:
    offered = Offered()
    offered.observer.call_started(CALL)
    assert offered.last() == {
        "session_id": "sess_1",
        "owner": "crm-key",
        "resumed": False,
        "attributes": {"ticket": "42"},
    }
    offered.observer.call_started(RESUMED)
    assert offered.kinds == ["session.started", "session.resumed"]


def test_a_session_ends_with_its_length_and_turns() -> None:
    offered = Offered()
    offered.observer.call_started(CALL)
    offered.observer.call_event(CALL, ENDED, 1.0)
    offered.observer.call_event(CALL, ENDED, 2.0)
    offered.clock.at += 12.3456
    offered.observer.call_ended(CALL, "client left")
    ended = offered.last()
    assert (ended["duration_s"], ended["num_turns"], ended["reason"]) == (12.346, 2, "client left")
    offered.observer.call_ended(CALL, "again")
    assert (offered.last()["duration_s"], offered.last()["num_turns"]) == (None, None)


def test_a_turn_has_latencies_and_no_words_unless_asked() -> None:
    offered = Offered()
    offered.observer.call_started(CALL)
    offered.observer.call_event(CALL, ev.TranscriptFinal("item_1", "When do you open?", 1.5), 1.3)
    offered.observer.call_event(CALL, ENDED, 3.0)
    turn = offered.last()
    assert turn["status"] == "completed"
    assert turn["latencies_ms"]["eou_to_first_audio"] == 50.0
    assert "caller_text" not in turn
    assert "reply_text" not in turn
    told = offered.last(include_transcripts=True)
    assert (told["caller_text"], told["reply_text"]) == ("When do you open?", "From nine to five.")
    offered.observer.call_event(CALL, ENDED, 4.0)
    assert offered.last(include_transcripts=True)["caller_text"] is None


def test_arguments_of_functions_are_told_only_with_transcripts() -> None:
    offered = Offered()
    item = ev.Item(
        "item_1", "assistant", '{"name":"Ann"}', kind="function_call", call_id="call_1", name="find_customer"
    )
    offered.observer.call_event(CALL, ev.ToolCalled("resp_1", item, None, by_gateway=True), 1.0)
    assert offered.kinds == ["call.tool_called"]
    assert (offered.last()["name"], offered.last()["by_gateway"]) == ("find_customer", True)
    assert "arguments" not in offered.last()
    assert offered.last(include_transcripts=True)["arguments"] == '{"name":"Ann"}'


def test_an_escalation_is_told() -> None:
    offered = Offered()
    offered.observer.call_event(CALL, ev.EscalationRequested("llm", "the model does not answer"), 1.0)
    assert offered.kinds == ["call.escalation_requested"]
    assert offered.last()["reason"] == "llm"


def test_a_degradation_that_every_call_hears_is_told_once() -> None:
    offered = Offered()
    degraded = ev.ServiceDegraded(2, ("no partials", "shorter replies"), "llm queue")
    for call in (CALL, RESUMED):
        offered.observer.call_event(call, degraded, 1.0)
    offered.observer.call_event(CALL, ev.ServiceDegraded(0, (), ""), 2.0)
    assert offered.kinds == ["service.degraded", "service.degraded"]
    assert offered.last() == {"level": 0, "measures": [], "reason": ""}


def test_other_events_are_nobodys_business() -> None:
    offered = Offered()
    offered.observer.call_event(CALL, ev.SpeechStarted("item_1", 0.5), 0.5)
    offered.observer.call_event(CALL, ev.ReplyText("resp_1", "item_2", "words"), 0.5)
    assert offered.kinds == []


def test_what_was_not_observed_is_null() -> None:
    assert latencies_ms(None) == {}
    assert set(latencies_ms(ev.StageTimes()).values()) == {None}
    assert latencies_ms(TIMES)["hesitation_to_transcript"] == 200.0
    assert latencies_ms(TIMES)["transcript_to_first_token"] is None


def test_calls_whose_end_is_never_told_are_forgotten_at_a_bound() -> None:
    offered = Offered()
    for number in range(10_050):
        offered.observer.call_started(CallIdentity(f"sess_{number}", None, 0.0, resumed=False, attributes={}))
    offered.observer.call_ended(CallIdentity("sess_0", None, 0.0, resumed=False, attributes={}), "left")
    assert offered.last()["duration_s"] is None
