"""Names and words of people: free of characters that nobody sees, and the same person told by any spelling. Pure."""

import unicodedata
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field

MAX_WORDS: Final = 512
_UNSEEN_KINDS: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
# Letters and marks that are drawn as nothing, of which Unicode's categories do not tell.
_FILLERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_SELECTORS: Final = (range(0x180B, 0x1810), range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


def is_unseen(character: str) -> bool:
    """Tell whether a character has no shape of its own: control, format, surrogate, unassigned, filler."""
    if unicodedata.category(character) in _UNSEEN_KINDS or character in _FILLERS:
        return True
    return any(ord(character) in codes for codes in _SELECTORS)


def shown(text: str) -> str:
    """Return a text for a report or a terminal, with a mark in the place of what is not seen; lines stay."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if is_unseen(character) and character != "\n" else character for character in text
    )


def in_a_line(text: str) -> str:
    """Return what somebody said as one line of at most 512 characters that are seen."""
    line = " ".join(shown(" ".join(text.split())).split())
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"


def same_person(one: str, other: str) -> bool:
    """Tell whether two names are one, however they are composed, spaced, capitalised, or filled with the unseen."""
    return _plain(one) == _plain(other)


def one_person_twice(people: Sequence[str]) -> bool:
    """Tell whether two of the names are of one person."""
    return len({_plain(name) for name in people}) < len(people)


def _plain(name: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(character for character in folded if not (is_unseen(character) or character.isspace()))


def _without_unseen(name: str) -> str:
    for character in name:
        if is_unseen(character):
            raise ValueError(f"U+{ord(character):04X} is not seen in a name: leave it out")
    return name


def _without_control(text: str) -> str:
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t":
            raise ValueError(f"U+{ord(character):04X} is a control character: leave it out")
    return text


Person = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^\S(.*\S)?$"), AfterValidator(_without_unseen)]
Note = Annotated[str, Field(max_length=2000), AfterValidator(_without_control)]
