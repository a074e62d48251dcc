"""Look for the phrases of a rubric in words: each expression by itself, without what is denied. Knows no calls."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_FLAGS: Final = re.compile(r"(?<!\\)\(\?[aiLmsux]+\)")


def compiled(pattern: str) -> re.Pattern[str]:
    """Return an expression that is searched between word boundaries, without regard to case.

    Raises ValueError saying what is wrong with it.
    """
    if _FLAGS.search(pattern):
        raise ValueError(f"{pattern!r} sets flags for the whole expression: leave them out, case never matters")
    try:
        # First alone: what only the frame around it would close is no expression.
        re.compile(pattern)
        return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)", re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error


@dataclass(frozen=True, slots=True)
class Phrase:
    """One kind of phrase. Joined into one expression, names and numbers of groups would be those of others."""

    wanted: tuple[re.Pattern[str], ...]
    denied: tuple[re.Pattern[str], ...] = ()

    def search(self, text: str) -> re.Match[str] | None:
        """Return where the words are first said, None if nowhere but in what is denied.

        A denial takes away what it overlaps, and what that overlaps: of "no need to talk to a real person" all.
        """
        if not self.denied:
            return min(_first(self.wanted, text), key=re.Match.start, default=None)
        found = sorted(_all(self.wanted, text), key=re.Match.start)
        denied = [match.span() for match in _all(self.denied, text)] if found else []
        return next((first for first, end in _runs(found) if not _overlaps(first.start(), end, denied)), None)


def _first(patterns: Iterable[re.Pattern[str]], text: str) -> Iterator[re.Match[str]]:
    return (match for pattern in patterns if (match := pattern.search(text)) is not None)


def _all(patterns: Iterable[re.Pattern[str]], text: str) -> Iterator[re.Match[str]]:
    return (match for pattern in patterns for match in pattern.finditer(text))


def _runs(found: Sequence[re.Match[str]]) -> Iterator[tuple[re.Match[str], int]]:
    """Yield the first of each run of matches that overlap, and where the run ends."""
    first: re.Match[str] | None = None
    end = 0
    for match in found:
        if first is not None and match.start() >= end:
            yield first, end
            first = None
        first = first or match
        end = max(end, match.end())
    if first is not None:
        yield first, end


def _overlaps(start: int, end: int, spans: Iterable[tuple[int, int]]) -> bool:
    return any(begins < end and start < ends for begins, ends in spans)
