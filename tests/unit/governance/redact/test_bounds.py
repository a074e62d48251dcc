"""The time for a text is linear in its length and bounded, and nothing is left visible where it is cut."""

import time

import pytest

from tests.fakes.leaks import leaked
from voicectl.governance.redact.call import MAX_TEXT
from voicectl.governance.redact.redactor import PolicyRedactor

REDACTOR = PolicyRedactor()
SHORT = 2_000
REPEATED = (
    *("birthday ", "born one ", "my social 123 ", "phone ", "call me at ", "call  ", "a at ", "a dot ", "a@b.c ", "@"),
    *("4", "4 ", "41 11:11 ", "1/1/2020 ", "one ", "oh ", "for to oh ", "forty one hundred sorry ", "order 1 ", "$1 "),
    *("+1 ", "card 4111 ", "415 555 2671 x ", "cvv 123 ", "march 5 ", "one second ", "last four ", "1x", "my 4 dogs "),
    *("wait 4111 ", "  a", '"4111 1111", '),
)


def seconds(text: str) -> float:
    """Return the lesser time of two that redaction takes."""
    times = []
    for _ in range(2):
        began = time.process_time()
        REDACTOR.text(text)
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize("piece", REPEATED)
def test_four_times_the_text_takes_no_more_than_eight_times_as_long(piece: str) -> None:
    short, long = ((piece * size)[:size] for size in (SHORT, 4 * SHORT))
    assert seconds(long) <= 8 * max(seconds(short), 0.005)


@pytest.mark.parametrize("piece", ["birthday ", "4 ", "1x", "+1 415 555 2671 x ", "a@b.c ", "$1 "])
def test_twenty_kilobytes_take_less_than_a_second(piece: str) -> None:
    assert seconds((piece * 20_000)[:20_000]) < 1.0


def test_json_full_of_card_numbers_takes_linear_time() -> None:
    card = '"4111 1111 1111 1111",'
    assert seconds(f"[{card * 800}1]") <= 8 * max(seconds(f"[{card * 200}1]"), 0.005)


@pytest.mark.parametrize("shown", range(0, 60, 4))
def test_no_card_number_or_address_is_cut_in_half(shown: int) -> None:
    secret = "4556 7375 8689 9855 and john dot doe at example dot com"
    kept = REDACTOR.text("x" * (MAX_TEXT - shown - 1) + f" {secret} " + "y " * MAX_TEXT)
    assert kept.endswith(" [cut]")
    assert len(kept) < MAX_TEXT + 40
    assert leaked("4556737586899855", [kept]) is None
    assert "4556" not in kept
    assert "john" not in kept


def test_a_number_that_goes_on_behind_the_cut_is_taken_out() -> None:
    call = REDACTOR.open_call()
    text = "x" * (MAX_TEXT - 40) + " 4556 7375 8689" + (" " + "y" * 100) * 11 + " 9855" * 1000
    assert "8689" not in call.add("1", text, speaker="user").text
    call.add("2", "and that was all that I had to say today " * 10, speaker="user")
    assert all("8689" not in text.text for text in (*call.revised(), *call.close()))
