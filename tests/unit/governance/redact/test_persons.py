"""What names a person is found in ordinary phrasing, and over several texts when it was asked for or announced."""

import pytest

from tests.unit.governance.redact.test_interruptions import last_versions


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        (
            ("my social is two one nine", "forty five", "sixty seven eighty nine"),
            ("my social is [ssn]", "[ssn]", "[ssn]"),
        ),
        (
            ("A: what is your social security number", "078", "A: go on", "05", "A: and", "1120"),
            ("what is your social security number", "[ssn]", "go on", "[ssn]", "and", "[ssn]"),
        ),
        (
            ("my cell phone number", "is four one five", "six two eight", "two six seven one"),
            ("my cell phone number", "is [phone]", "[phone]", "[phone]"),
        ),
        (
            ("A: what's a good contact number", "four one five five five five two six seven one"),
            ("what's a good contact number", "[phone]"),
        ),
        (("my number is four one five, six two eight, two six seven one",), ("my number is [phone]",)),
        (
            ("A: date of birth please", "March", "fifth", "nineteen eighty five"),
            ("date of birth please", "[date of birth]", "[date of birth]", "[date of birth]"),
        ),
        (
            ("A: the three digits on the back please", "seven three seven"),
            ("the three digits on the back please", "[card code]"),
        ),
        (
            ("A: three digit code on the back", "1", "23"),
            ("three digit code on the back", "[card code]", "[card code]"),
        ),
    ],
)
def test_pieces_of_an_answer_are_joined_over_texts(texts: tuple[str, ...], kept: tuple[str, ...]) -> None:
    assert last_versions(*texts) == list(kept)


@pytest.mark.parametrize("between", ["one second", "one moment", "may i ask why", "the second of three kids"])
def test_the_date_of_birth_is_the_date_and_not_what_comes_before_it(between: str) -> None:
    assert last_versions(f"my date of birth, {between}, is march fifth nineteen eighty five") == [
        f"my date of birth, {between}, is [date of birth]"
    ]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("info at voicectl dot cloud", "[email]"),
        ("it's john smith at gmail dot com", "it's [email]"),
        ("john underscore smith eighty five at yahoo dot com", "[email]"),
        ("my s s n is 078051120", "my s s n is [ssn]"),
        ("i was born in 85, on the fifth of march", "i was born in [date of birth], on the [date of birth]"),
    ],
)
def test_other_ways_to_say_it_are_known(text: str, kept: str) -> None:
    assert last_versions(text) == [kept]


@pytest.mark.parametrize(
    "texts",
    [
        ("can you call me at five, my order is 4512345678",),
        ("A: what's your social", "uh my social media page?", "it has 5000 followers"),
        ("my birthday party is on saturday and i need a cake for twenty people by three",),
        ("i work at google dot com",),
        ("postgresql://voicectl@127.0.0.1:18732/vc", "gateway https://user@db.example.com/x is down"),
        ("call me back at five thirty", "my order is 4512345"),
        ("A: what is your phone number", "i have 415 units and 6282671 visitors"),
    ],
)
def test_what_names_nobody_stays(texts: tuple[str, ...]) -> None:
    assert last_versions(*texts) == [text.removeprefix("A: ") for text in texts]
