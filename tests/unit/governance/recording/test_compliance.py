"""What attributes and replies show is read strictly: what cannot be read is unknown."""

import pytest

from voicectl.governance.recording.compliance import MASKED, Phrases, consent_result, stated
from voicectl.governance.score.rubric import packaged_rubric

PHRASES = Phrases(packaged_rubric())
SHA = "a" * 64


def test_what_a_dialler_checked_becomes_columns() -> None:
    said = {
        "direction": "outbound", "consent_id": "crm-77/2", "consent_at": "2026-01-02T03:04:05Z",
        "consent_text_hash": SHA, "dnc_listed": "no", "dnc_list_version": "2026-11", "window_verdict": "allowed",
        "consent_ip": "2001:DB8::1", "time_zones": "America/Chicago,America/Indiana/Knox", "ticket": "42",
    }  # fmt: skip
    assert stated(said) == {
        "direction": "outbound", "consent_id": "crm-77/2", "consent_at": 1_767_323_045.0,
        "consent_text_hash": SHA, "dnc_listed": False, "dnc_list_version": "2026-11", "window_verdict": "allowed",
        "consent_ip": "2001:db8::1", "time_zones": "America/Chicago,America/Indiana/Knox",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("direction", "sideways"),
        ("consent_id", "with words in it"),
        ("consent_at", "yesterday"),
        ("consent_text_hash", "abc"),
        ("dnc_listed", "perhaps"),
        ("window_verdict", "fine"),
        ("consent_ip", "10.0.0"),
        ("time_zones", "America/Chicago; DROP"),
        ("dnc_checked_at", ""),
    ],
)
def test_what_cannot_be_read_is_unknown(name: str, value: str) -> None:
    assert stated({name: value}) == {}


@pytest.mark.parametrize("value", ["4111-1111-1111-1111", "4111111111111111"])
def test_an_id_that_may_be_a_card_number_is_there_but_not_kept(value: str) -> None:
    assert stated({"consent_id": value}) == {"consent_id": MASKED}


def test_consent_counts_as_it_was_at_the_start_of_the_call() -> None:
    assert consent_result({}, 100.0) == "missing"
    assert consent_result({"consent_id": "c"}, 100.0) == "granted"
    assert consent_result({"consent_id": "c", "consent_revoked_at": 100.0}, 100.0) == "revoked"
    assert consent_result({"consent_id": "c", "consent_revoked_at": 101.0}, 100.0) == "granted"


def test_a_disclosure_is_placed_where_its_words_are_in_the_reply() -> None:
    text = "Hello, this is the automated assistant. How can I help you with your order today, please?"
    at = PHRASES.disclosed_at(text, 1.0, 11.0)
    assert at == pytest.approx(1.0 + 10.0 * len("Hello, this is the automated assistant") / len(text))
    assert PHRASES.disclosed_at("How can I help?", 1.0, 11.0) is None
    assert PHRASES.disclosed_at("", 1.0, 11.0) is None


def test_a_denial_is_no_disclosure() -> None:
    assert PHRASES.disclosed_at("No, I'm not an AI agent.", 0.0, 2.0) is None
