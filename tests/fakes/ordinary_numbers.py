"""Calls with ordinary numbers, from a seed: prices, times, orders, dates, addresses and counts. Knows no detector."""

import random
from typing import Final

from tests.fakes.spoken_cards import DIGITS, TEENS, TENS, SpokenCall, in_words
from voicectl.core.events import Role

_MONTHS: Final = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)


def _digits(rng: random.Random, low: int, high: int) -> str:
    return str(rng.randint(1, 9)) + "".join(rng.choice("0123456789") for _ in range(rng.randint(low, high) - 1))


def _under_100(number: int) -> str:
    if number < 20:
        return (*DIGITS, *TEENS)[number]
    return TENS[number // 10 - 2] + (f"-{DIGITS[number % 10]}" if number % 10 else "")


def _price(rng: random.Random) -> tuple[str, str]:
    whole, part = rng.randint(1, 99), rng.randint(10, 99)
    number = rng.choice(
        (
            f"${whole}.{part}",
            f"${rng.randint(1000, 99999):,}",
            f"{_under_100(whole)} dollars",
            f"{whole} dollars and {part} cents",
            f"{_under_100(max(whole, 2))} {_under_100(part)}",
            f"{DIGITS[rng.randint(1, 9)]} hundred and {_under_100(part)} dollars",
            f"{rng.randint(100, 4999)} euros",
        )
    )
    return rng.choice(("that comes to {}", "I was charged {} twice", "is it {} or more", "the bill says {}")), number


def _time(rng: random.Random) -> tuple[str, str]:
    hour, minute = rng.randint(1, 12), rng.randint(10, 59)
    number = rng.choice(
        (f"{hour}:{minute}", f"{hour}:{minute} pm", f"{_under_100(hour)} {_under_100(minute)}", f"{hour} o'clock")
    )
    return rng.choice(
        ("can you come at {}", "I called at {} yesterday", "the store opens at {}", "not before {}")
    ), number


def _order(rng: random.Random) -> tuple[str, str]:
    digits = _digits(rng, 5, 12)
    number = rng.choice((digits, digits, " ".join(digits), in_words(digits, rng), f"{digits[:4]}-{digits[4:]}"))
    return (
        rng.choice(
            (
                "my order number is {}",
                "it's {}",
                "the tracking number is {}",
                "invoice {} is wrong",
                "order {} please",
                "case number {}",
                "the confirmation reads {}",
                "it says {} on the box",
                "my account number is {}",
            )
        ),
        number,
    )


def _date(rng: random.Random) -> tuple[str, str]:
    month = rng.choice(_MONTHS)
    day, year = rng.randint(1, 28), rng.randint(2015, 2030)
    number = rng.choice(
        (
            f"{month} {day}th",
            f"{month} {day}, {year}",
            f"{rng.randint(1, 12)}/{day}/{year}",
            f"{year}-0{day % 9 + 1}-{day:02d}",
            f"twenty {_under_100(year - 2000)}",
            f"the {day}th of {month}",
        )
    )
    return rng.choice(
        ("it was delivered on {}", "we moved in on {}", "can we do {}", "since {} it has been broken")
    ), number


def _address(rng: random.Random) -> tuple[str, str]:
    street = rng.choice(("Oak Street", "Maple Avenue", "5th Avenue", "Mill Road", "Highway 61"))
    number = rng.choice(
        (
            f"{_digits(rng, 1, 5)} {street}",
            f"{_digits(rng, 3, 4)} {street}, apartment {rng.randint(1, 99)}",
            f"{_digits(rng, 3, 4)} {street}, {_digits(rng, 5, 5)}",
            f"zip code {_digits(rng, 5, 5)}",
        )
    )
    return rng.choice(("I live at {}", "ship it to {}", "the address is {}", "we are on {}")), number


def _count(rng: random.Random) -> tuple[str, str]:
    number = rng.choice(
        (
            f"{rng.randint(1000, 9_999_999_999):,} units",
            f"{_digits(rng, 7, 10)} visitors",
            f"{rng.randint(2, 40)} boxes",
            f"{rng.randint(2, 99)} percent",
            f"{_under_100(rng.randint(2, 99))} minutes",
            f"flight {_digits(rng, 2, 4)}",
            f"room {_digits(rng, 2, 4)}",
            f"extension {_digits(rng, 3, 5)}",
            f"version {rng.randint(1, 9)}.{rng.randint(0, 30)}.{rng.randint(0, 9)}",
            f"{rng.randint(2, 9)} for {rng.randint(10, 20)}",
            f"two to {_under_100(rng.randint(3, 12))} times",
        )
    )
    return rng.choice(("we have {}", "there were {} last week", "I need {}", "it is about {}", "that makes {}")), number


_ORDINARY: Final = (_price, _time, _order, _date, _address, _count)
_ANSWERS: Final = ("Thank you.", "Let me check.", "Anything else?", "One moment please.", "Is there more?")
_CHAT: Final = (
    "I think so",
    "no that's all for now",
    "one more thing",
    "can I pay by card",
    "I would like to know where it is",
    "yes please go on to the next one",
)


def ordinary_call(rng: random.Random) -> SpokenCall:
    """Return a call with nothing to redact: prices, times, orders, dates, addresses and counts."""
    texts: list[tuple[Role, str]] = []
    numbers: list[str] = []
    for _ in range(rng.randint(1, 5)):
        sentences: list[str] = []
        for _ in range(rng.choice((1, 1, 2))):
            frame, number = rng.choice(_ORDINARY)(rng)
            sentences.append(frame.format(number))
            numbers.append(number)
        texts.append(("user", rng.choice((" and ", ". ", ", ")).join(sentences)))
        if rng.random() < 0.6:
            texts.append(("assistant", rng.choice(_ANSWERS)))
        if rng.random() < 0.2:
            texts.append(("user", rng.choice(_CHAT)))
    return SpokenCall(tuple(texts), numbers=tuple(numbers))
