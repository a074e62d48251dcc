"""Observers of calls, and logs, see nothing that must not be kept."""

from collections.abc import Mapping
from typing import Any

from voicectl.core import events as ev
from voicectl.core.ports import CallIdentity
from voicectl.core.tagged import phi
from voicectl.governance.redact.policy import Policy
from voicectl.governance.redact.redactor import PolicyRedactor
from voicectl.service.governing.logs import log_redaction
from voicectl.service.governing.redacting import RedactingObserver

CARD = "4111 1111 1111 1111"
CALL = CallIdentity("sess_1", "key", 0.0, resumed=False, attributes={"caller": "+1 415 555 2671", "ticket": "42"})


class Trail:
    """Collects audit entries."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Mapping[str, Any]]] = []

    def note(self, kind: str, body: Mapping[str, Any]) -> None:
        self.entries.append((kind, body))


class Seen:
    """Keeps all that it is shown."""

    def __init__(self) -> None:
        self.all: list[object] = []

    def call_started(self, call: CallIdentity) -> None:
        self.all.append(call)

    def call_event(self, call: CallIdentity, event: ev.CallEvent, at: float) -> None:
        self.all += (call, event)

    def call_ended(self, call: CallIdentity, reason: str) -> None:
        self.all += (call, reason)


def shown(*events: ev.CallEvent) -> tuple[str, Trail]:
    """Return all that an observer of these events saw, as text, and the audit entries."""
    inner, trail = Seen(), Trail()
    observer = RedactingObserver([inner], PolicyRedactor(), trail)
    observer.call_started(CALL)
    for at, event in enumerate(events):
        observer.call_event(CALL, event, float(at))
    observer.call_ended(CALL, f"the caller said {CARD}")
    return repr(inner.all), trail


def test_no_event_shows_a_card_number_whatever_field_holds_it() -> None:
    item = ev.Item("item_1", "user", f"it is {CARD}")
    call = ev.Item("item_2", "assistant", f'{{"card": "{CARD}"}}', kind="function_call", call_id="c", name="pay")
    text, trail = shown(
        ev.TranscriptDelta("item_1", "4111 1111"),
        ev.TranscriptDelta("item_1", " 1111 1111"),
        ev.TranscriptFinal("item_1", f"it is {CARD}", 1.0),
        ev.ItemAdded(item, None),
        ev.ItemDone(item, None),
        ev.ToolCalled("resp_1", call, None),
        ev.ItemAdded(ev.Item("item_3", "tool", CARD, kind="function_call_output", call_id="c"), None),
        ev.ReplyText("resp_1", "item_4", "4111 1111 1111"),
        ev.ResponseStarted("resp_1", "item_4", None, "audio", metadata={"note": CARD}),
        ev.ResponseEnded("resp_1", "item_4", "failed", f"So {CARD}", "audio", reason=CARD, metadata={"note": CARD}),
        ev.ItemTruncated("item_4", 100, CARD),
        ev.EscalationRequested("stt", f"failed at {CARD}"),
        ev.TranscriptFailed("item_5", CARD),
        ev.ActionRejected("invalid_value", CARD, param="x"),
        ev.SettingsChanged(ev.SessionSettings(instructions=f"the card is {CARD}", hotwords=CARD)),
    )
    assert "1111" not in text
    assert "555 2671" not in text
    assert "[card number]" in text
    assert trail.entries[0][0] == "redaction_applied"
    assert trail.entries[0][1]["counts"]["card"] >= 3


def test_a_number_said_in_two_turns_never_reaches_an_observer() -> None:
    text, _ = shown(
        ev.TranscriptFinal("item_1", "it is four one one one one one one one", 1.0),
        ev.ResponseEnded("resp_1", "item_2", "completed", "Go on.", "audio"),
        ev.TranscriptFinal("item_3", "one one one one one one one one", 1.0),
    )
    assert "it is four one one one one one [digits]" in text
    assert "one one one one one one one one" not in text


def test_a_call_without_anything_to_redact_leaves_no_entry() -> None:
    inner, trail = Seen(), Trail()
    observer = RedactingObserver([inner], PolicyRedactor(), trail)
    call = CallIdentity("sess_2", None, 0.0, resumed=False, attributes={})
    observer.call_started(call)
    observer.call_event(call, ev.TranscriptFinal("item_1", "two for ten please", 1.0), 0.0)
    observer.call_ended(call, "left")
    assert trail.entries == []
    assert "two for ten please" in repr(inner.all)


def test_a_log_line_is_redacted_whatever_got_into_it() -> None:
    redact = log_redaction(PolicyRedactor(Policy(fields={"caller": "drop"})))
    line = redact(
        None,
        "info",
        {
            "event": "turn_ended",
            "timestamp": "2026-11-26T10:00:00Z",
            "text": CARD,
            "nested": {"said": [CARD]},
            "drug": phi("insulin"),
            "caller": "Ann",
            "seconds": 1.5,
            "exception": f"ValueError: {CARD}",
        },
    )
    assert line == {
        "event": "turn_ended",
        "timestamp": "2026-11-26T10:00:00Z",
        "text": "[card number]",
        "nested": {"said": ["[card number]"]},
        "drug": "[phi]",
        "seconds": 1.5,
        "exception": "ValueError: [card number]",
    }


def test_a_log_line_that_cannot_be_redacted_is_not_shown() -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    line = log_redaction(PolicyRedactor())(None, "info", {"event": "x", "value": Hostile()})
    assert line == {"event": "x", "value": "[not redacted, not logged]"}
