"""The audit log hears of consent, disclosure and transfers from the events of a call, without a word of it."""

from typing import Any

from tests.fakes.recorded_call import STARTED_AT, identity, scribe, transfer, turn, whole_call, written
from voicectl.core import events as ev
from voicectl.core.ports import CallIdentity
from voicectl.governance.audit.kinds import checked_body
from voicectl.governance.recording.auditing import audit_entries
from voicectl.service.recording.scribe import Began, Noted, digest


def told(call: CallIdentity, *seen: Noted) -> list[tuple[str, dict[str, Any]]]:
    """Return the entries, each as the log would take it."""
    events = written(scribe(), [Noted(call, Began(), 0.0), *seen])
    entries = [entry for event in events for entry in audit_entries(event, call.started_at)]
    return [(kind, checked_body(kind, body)) for kind, body in entries]


def test_an_ordinary_call_leaves_no_entry() -> None:
    call = identity()
    assert told(call, *whole_call(call)[1:]) == []


def test_a_dialled_call_is_checked_for_consent_even_without_any() -> None:
    ((kind, body),) = told(identity(attributes={"direction": "outbound"}))
    assert (kind, body["result"], body["purpose"]) == ("consent_checked", "missing", "outbound_call")
    said = {"consent_id": "c-1", "consent_text_hash": "a" * 64, "dnc_listed": "no", "window_verdict": "allowed"}
    said |= {"consent_ip": "192.0.2.7"}
    ((_, body),) = told(identity(attributes={"direction": "outbound", **said}))
    assert (body["result"], body["consent_id"], body["text_hash"]) == ("granted", "c-1", "a" * 64)
    assert body["details"] == {"dnc_listed": False, "window_verdict": "allowed"}
    revoked = {"consent_id": "c-1", "consent_revoked_at": str(STARTED_AT - 1)}
    ((_, body),) = told(identity(attributes=revoked))
    assert (body["result"], body["purpose"]) == ("revoked", "inbound_call")


def test_the_first_disclosure_of_a_call_is_told() -> None:
    call, said = identity(), "Hello, this is the automated assistant."
    ((kind, body),) = told(call, *turn(call, 1, said=said), *turn(call, 2, said=said))
    assert kind == "disclosure_made"
    assert 1.4 < body["after_s"] < 12.0


def test_transfers_are_told_with_the_digest_of_what_goes_along() -> None:
    call = identity()
    payload = '{"summary": "wants a refund"}'
    item = ev.Item("i", "assistant", payload, kind="function_call", call_id="c", name="transfer")
    other = ev.Item("i", "assistant", "{}", kind="function_call", call_id="d", name="hours")
    entries = told(
        call,
        Noted(call, ev.ToolCalled("r", other, None), 1.0),
        Noted(call, ev.ToolCalled("r", item, None), 2.0),
        Noted(call, ev.EscalationRequested("tts", "no voice"), 3.0),
    )
    assert [(kind, body["reason"]) for kind, body in entries] == [
        ("transfer_attempted", "function transfer"),
        ("transfer_attempted", "tts"),
    ]
    assert entries[0][1]["payload_digest"] == digest(payload)
    assert "refund" not in repr(entries)


def test_what_became_of_a_transfer_is_told_when_its_function_tells() -> None:
    call = identity()
    entries = told(call, *transfer(call, '{"transfer_result": "failed"}'), *transfer(call, "{}", call_id="d"))
    assert [body["result"] for _, body in entries] == ["requested", "failed", "requested"]
