"""A card number is found whatever interrupts it, and what interrupts it is no part of it."""

import random

import pytest

from tests.fakes.interruptions import CALLER
from tests.fakes.leaks import leaked
from tests.fakes.redaction_trial import falsely_redacted, kept_versions, leak_of
from tests.fakes.spoken_cards import SpokenCall, spoken_card
from voicectl.core.events import Role
from voicectl.governance.redact.redactor import PolicyRedactor

REDACTOR = PolicyRedactor()
CARD = "4539148803436467"
HALVES = (
    ("4539 1488", "0343 6467"),
    ("four five three nine one four eight eight", "oh three four three six four six seven"),
)
HELD_OUT = 200


def said(*texts: str) -> SpokenCall:
    """Return a call; what begins with "A:" is said by the agent."""
    roles: list[tuple[Role, str]] = [
        ("assistant", text[2:].strip()) if text.startswith("A:") else ("user", text) for text in texts
    ]
    return SpokenCall(tuple(roles), CARD)


def last_versions(*texts: str) -> list[str]:
    """Return the texts as they are kept in the end."""
    return [versions[-1] for versions in kept_versions(REDACTOR, said(*texts))]


def test_no_interruption_hides_a_card_number() -> None:
    calls = []
    for number, phrase in enumerate(CALLER):
        first, second = HALVES[number % 2]
        asked = ("A: can i have your card number please",) if number % 4 < 2 else ()
        calls += [
            (*asked, *texts)
            for texts in ((f"{first} {phrase} {second}",), (f"{first} {phrase}", second), (first, phrase, second))
        ]
    assert [texts for texts in calls if leak_of(REDACTOR, said(*texts)) is not None] == []


@pytest.mark.parametrize(
    "texts",
    [
        ("my card number is 4539 1488 wait a minute 0343 6467",),
        ("A: can i have your card number please", "4539 1488", "i am reading it", "0343 6467"),
        ("A: go ahead", "4539 1488 0343 and the last four 6467"),
        ("4539x1488x0343x6467",),
        ("my card is 4539 1488 there are 20 people talking here 0343 6467",),
        ("A: your card number?", "4539 1488 people are so loud 0343", "6467"),
    ],
)
def test_what_an_audit_found_is_taken_out(texts: tuple[str, ...]) -> None:
    assert leak_of(REDACTOR, said(*texts)) is None
    assert leaked(CARD, last_versions(*texts)) is None


@pytest.mark.parametrize(
    ("card", "texts"),
    [
        (
            "4539148803436400",
            ("okay so 453914 um eight eight zero three four three", "6 4 0, they sent it in march zero and thanks"),
        ),
        (
            "2221083612337639",
            ("twenty-two twenty-one oh eight, they sent it in march thirty-six", "twelve thirty-three", "76 39"),
        ),
        (
            "4317643891578434",
            ("four three one seven six 4 3 8 9 1 they sent it in march, five", "seven eight four 3 4"),
        ),
    ],
)
def test_a_month_makes_no_date_of_what_is_no_day(card: str, texts: tuple[str, ...]) -> None:
    assert leaked(card, last_versions(*texts)) is None


def test_generated_interruptions_to_which_nothing_was_fitted_hide_few_card_numbers() -> None:
    rng = random.Random(7)
    calls = [spoken_card(rng, held_out=True) for _ in range(HELD_OUT)]
    assert sum(leak_of(REDACTOR, call) is not None for call in calls) <= HELD_OUT // 100


@pytest.mark.parametrize(
    ("texts", "number"),
    [
        (("A: can I pay by card?", "order number 4539", "order number 148803436467"), "148803436467"),
        (("it costs 4539 dollars", "and it says 148803436467 on the box"), "4539 dollars"),
        (("can I pay by card", "I need 3,999,376,805 units"), "3,999,376,805 units"),
        (("move my card appointment from 2026 11 27 to 2026 12 03",), "2026 11 27"),
        (("invoice 3 2 3 4 6 7 8 1 9 is wrong, it's 7978-7446",), "3 2 3 4 6 7 8 1 9"),
        (("it says 811264344345 on the box", "one more thing"), "811264344345"),
    ],
)
def test_numbers_that_are_named_as_something_else_stay(texts: tuple[str, ...], number: str) -> None:
    call = said(*texts)
    assert falsely_redacted(REDACTOR, SpokenCall(call.texts, numbers=(number,))) == []
