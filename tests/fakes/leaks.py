"""Look in redacted texts for what is left of a card number, as somebody would who wants it. Knows no detector."""

import re
from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final


def _list(words: str) -> list[str]:
    return words.split()


MAX_RUN: Final = 5
"""Digits in a row, outside the first six and last four, that are no leak."""
MAX_SHOWN: Final = 10
"""Digits in all that may be left: the first six and the last four."""

_PIECE: Final = re.compile(r"\[[^\]]*\]|\d|[A-Za-z']+")
_MOMENT: Final = re.compile(r"\bone moment\b", re.IGNORECASE)
_UNITS: Final = {
    word: str(digit)
    for digit, words in enumerate(
        ("zero oh o nought naught", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    )
    for word in words.split()
}
_SOUNDS: Final = {"won": "1", "to": "2", "too": "2", "for": "4", "ate": "8"}
_TEENS: Final = {
    word: str(10 + offset)
    for offset, word in enumerate(
        _list("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen")
    )
}
_TENS: Final = {
    word: str(2 + offset) for offset, word in enumerate(_list("twenty thirty forty fifty sixty seventy eighty ninety"))
}
_TIMES: Final = {"double": 2, "triple": 3, "treble": 3, "quadruple": 4}


def readings(texts: Iterable[str]) -> Iterator[str]:
    """Return the digits of texts that follow each other, in each way to read them; "|" is where something was."""
    words = [piece.lower() for text in texts for piece in _PIECE.findall(_MOMENT.sub("moment", text))]
    for joins, sounds in product((True, False), repeat=2):
        yield _digits(words, joins=joins, sounds=sounds)


def _digits(words: list[str], *, joins: bool, sounds: bool) -> str:
    digits: list[str] = []
    times = 1
    for index, word in enumerate(words):
        after = words[index + 1] if index + 1 < len(words) else ""
        # "I have to be quiet" holds no digit, whatever was said before it.
        heard = sounds and any(_is_number(each) for each in (words[index - 1] if index else "", after))
        unit = _UNITS.get(word) or (_SOUNDS.get(word) if heard else None) or (word if word.isdigit() else None)
        if word.startswith("["):
            digits.append("|")
        elif unit is not None:
            digits.append(unit * times)
        elif word in _TEENS:
            digits.append(_TEENS[word])
        elif word in _TENS:
            digits.append(_TENS[word] + ("" if joins and after in _UNITS else "0"))
        if word == "hundred" and after not in _UNITS and after not in _TENS and after not in _TEENS:
            digits.append("00")
        times = _TIMES.get(word, 1)
    return "".join(digits)


def _is_number(word: str) -> bool:
    return word.isdigit() or any(word in table for table in (_UNITS, _SOUNDS, _TEENS, _TENS, _TIMES))


def leaked(card: str, texts: Iterable[str]) -> str | None:
    """Return what is too much of `card` in the texts of one speaker, None if there is nothing."""
    most = 0
    for digits in readings(texts):
        of_card: set[int] = set()
        of_text: set[int] = set()
        for start in range(len(card)):
            for end in range(len(card), start + 3, -1):
                at = digits.find(card[start:end])
                if at < 0:
                    continue
                if end - start > MAX_RUN and not (end <= 6 or start >= len(card) - 4):
                    return card[start:end]
                # Shorter pieces can be there by chance, and mean little alone; not when they add up.
                of_card.update(range(start, end))
                while at >= 0:
                    of_text.update(range(at, at + end - start))
                    at = digits.find(card[start:end], at + 1)
                break
        most = max(most, min(len(of_card), len(of_text)))
    return f"{most} digits in pieces" if most > MAX_SHOWN else None
