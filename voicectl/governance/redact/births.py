"""Find the date behind "born" or "date of birth", and the one that answers the question. Knows dates, not calls."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

ASKS_BIRTH: Final = re.compile(r"\bborn\b|\bbirth\s?(?:day|date)?s?\b|\bd\.?o\.?b\b", re.I)
_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
_NUMBER: Final = (
    r"(?:zero|oh?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand"
    r"|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|\w{3,7}teenth|twentieth"
    r"|thirtieth|\d{1,8}(?:st|nd|rd|th)?)"
)
_PIECE: Final = rf"(?:{_MONTH}|{_NUMBER})"
_GLUE: Final = r"(?:[\s,./\-–]{1,4}(?:(?:of|the|in|and|slash|dash|uh|um|er)[\s,./\-–]{1,4}){0,3})"
_DATE: Final = re.compile(rf"\b{_PIECE}(?:{_GLUE}{_PIECE}){{0,9}}\b", re.IGNORECASE)
_HAS_MONTH: Final = re.compile(rf"\b{_MONTH}\b", re.IGNORECASE)
_HAS_NUMBER: Final = re.compile(rf"\b(?!{_MONTH}\b){_NUMBER}\b", re.IGNORECASE)
_YEAR: Final = re.compile(r"(?:19|20)\d\d|(?:nineteen|twenty)\W+\w+", re.IGNORECASE)
_TWO_DIGITS: Final = re.compile(r"\bin '?$", re.IGNORECASE)
_NO_MORE: Final = re.compile(r"[\s,.!?–-]*(?:(?:uh|um|er|and|of|the|please)[\s,.!?]*)*\Z", re.IGNORECASE)
_REACH: Final = 60
"""Characters between "born" and the date."""
_GOES_ON: Final = 10
_DATE_PIECES: Final = 3
_DATE_DIGITS: Final = 6


def find_births(text: str, *, asked: bool) -> list[tuple[int, int]]:
    """Return where dates of birth begin and end; `asked` when the text may answer the question."""
    starts = [match.end() for match in ASKS_BIRTH.finditer(text)]
    if not starts and not asked:
        return []
    dates = [match.span() for match in _DATE.finditer(text)]
    if not starts:
        return [span for span in dates if _is_date(text[slice(*span)]) or _is_piece(text, *span)]
    real = [span for span in dates if _is_date(text[slice(*span)]) or _is_year(text, *span)]
    return sorted({span for start in starts for span in _next(real, start)})


def _next(dates: Sequence[tuple[int, int]], start: int) -> list[tuple[int, int]]:
    """Return the first date behind `start` that is near, and what goes on with it: "in 85, on the fifth of March"."""
    near: list[tuple[int, int]] = []
    for span in dates[bisect_left(dates, (start, 0)) :]:
        if span[0] - start > (_GOES_ON if near else _REACH):
            break
        near.append(span)
        start = span[1]
    return near


def _is_date(text: str) -> bool:
    """Whether it is a date: a month with a number, three pieces, or six to eight digits."""
    if _HAS_MONTH.search(text) is not None:
        return _HAS_NUMBER.search(text) is not None
    return len(_HAS_NUMBER.findall(text)) >= _DATE_PIECES or sum(map(str.isdigit, text)) >= _DATE_DIGITS


def _is_year(text: str, start: int, end: int) -> bool:
    """Whether it is a year alone: "1985", "nineteen eighty", "in 85"."""
    if _YEAR.fullmatch(text, start, end) is not None:
        return True
    return text[start:end].isdigit() and _TWO_DIGITS.search(text[:start][-_REACH:]) is not None


def _is_piece(text: str, start: int, end: int) -> bool:
    """Whether an answer ends with a piece of a date: "March", "the fifth"."""
    return _NO_MORE.match(text, end) is not None
