"""What a cell of an imported file may hold: reads text, or a JSON value, as one kind of value or says why not."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

Reader = Callable[[Any], Any]
"""Returns the value of a cell that is not empty. Raises ValueError with what it should be."""

EARLIEST: Final = 946_684_800.0
"""2000-01-01; an instant before it is a number of something else."""
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
LATEST: Final = 4_102_444_800.0
"""2100-01-01; one behind it is probably in milliseconds."""
_NUMBER: Final = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_YES: Final = frozenset(("true", "yes", "1"))
_NO: Final = frozenset(("false", "no", "0"))


def readable(values: Mapping[str, Any], readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Return the values that can be read, by name. What is not there, or cannot be read, is left out: unknown."""
    found = {}
    for name, read in readers.items():
        value = values.get(name)
        if value is None:
            continue
        try:
            found[name] = read(value)
        except ValueError:
            continue
    return found


def yes_or_no(value: Any) -> bool:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else None
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError("is neither true nor false")


def number(least: float, most: float) -> Reader:
    """Return what reads a number within bounds."""

    def read(value: Any) -> float:
        found = _float(value)
        if not math.isfinite(found) or not least <= found <= most:
            raise ValueError(f"is not between {least:g} and {most:g}")
        return found

    return read


def instant(value: Any) -> float:
    """Read an instant: RFC 3339 with its offset from UTC, or seconds since the epoch."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value.strip()):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("is no instant: write 2026-09-04T12:00:00Z, or seconds since 1970") from None
        if moment.tzinfo is None:
            raise ValueError("does not say its offset from UTC: write 2026-09-04T12:00:00Z")
        # Not by way of UTC: the first and the last day of the calendar have no instant there.
        found = (moment - _EPOCH).total_seconds()
    else:
        found = _float(value)
    if not EARLIEST <= found < LATEST:
        raise ValueError("is not between the years 2000 and 2100")
    return found


def _float(value: Any) -> float:
    is_text = isinstance(value, str) and _NUMBER.fullmatch(value.strip()) is not None
    if isinstance(value, bool) or not (is_text or isinstance(value, int | float)):
        raise ValueError("is no number")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def choice(*words: str) -> Reader:
    """Return what reads one of several words."""

    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return str(value)

    return read


def text(limit: int, *, pattern: re.Pattern[str] | None = None) -> Reader:
    """Return what reads text of a length, and of a form."""

    def read(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("is no text")
        if len(value) > limit:
            raise ValueError(f"has {len(value)} characters, not at most {limit}")
        if any(not character.isprintable() and character not in "\t\n\r" for character in value):
            raise ValueError("holds characters that cannot be printed")
        if pattern is not None and not pattern.fullmatch(value):
            raise ValueError(f"does not have the form {pattern.pattern}")
        return value

    return read
