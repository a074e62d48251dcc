"""Find written times and dates, alone and from one to another. Knows their shapes only."""

import re
from collections.abc import Iterator
from typing import Final

_ONE: Final = r"(?:\d{1,2}:\d\d(?::\d\d)?|\d{1,2}/\d{1,2}/(?:\d\d){1,2}|(?:19|20)\d\d-\d\d-\d\d)"
_SPACED: Final = r"(?:19|20)\d\d (?:0?[1-9]|1[0-2]) (?:0?[1-9]|[12]\d|3[01])"
_TO: Final = r"\s(?:to|until|till|through|and)\s"
_DATES: Final = re.compile(rf"(?<![\d:/])(?:({_SPACED}){_TO}({_SPACED})|({_ONE})(?:{_TO}({_ONE}))?)(?![\d:/])")
"""With spaces it is a date only where there are two of them."""

Spans = tuple[tuple[int, int], ...]


def dates(text: str) -> Iterator[Spans]:
    """Yield where the dates of a text begin and end; those of "from … to …" together."""
    for match in _DATES.finditer(text):
        yield tuple(match.span(group) for group in (1, 2, 3, 4) if match[group] is not None)
