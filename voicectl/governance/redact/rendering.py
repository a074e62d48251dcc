"""Put markers where something was found in a text. Knows what was found where, not how."""

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from voicectl.governance.redact.persons import Span
from voicectl.governance.redact.policy import Policy
from voicectl.governance.redact.stream import Said

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NUMBER: Final = re.compile(r"-?\d[\d.eE+-]*")
_UNREADABLE: Final = '{"redacted": true}'


def is_json(text: str) -> bool:
    """Whether a text is a JSON document, as the arguments of functions are."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def marked(text: str, said: Sequence[Said], persons: Iterable[Span]) -> list[tuple[Span, str]]:
    """Return what is taken out of a text, in order and without overlaps, each with what it stands for."""
    found: list[tuple[Span, str]] = []
    for each in said:
        if each.card is None and not each.covered and not each.echoed:
            continue
        kind = "digits" if each.card is None else "card"
        span, number = Span(each.atom.start, each.atom.end, kind), each.card or each.atom.digits
        if found and found[-1][0].kind == kind and _goes_on(text, found[-1][0].end, each):
            found[-1] = Span(found[-1][0].start, span.end, kind), found[-1][1] or number
        else:
            found.append((span, number))
    found += [(span, text[span.start : span.end]) for span in persons]
    return _without_overlaps(found)


def _goes_on(text: str, end: int, said: Said) -> bool:
    between = text[end : said.atom.start]
    return said.atom.gap.words == 0 and not said.atom.gap.hard and not set(between) & set('"{}[]:')


def _without_overlaps(found: list[tuple[Span, str]]) -> list[tuple[Span, str]]:
    found.sort(key=lambda each: (each[0].start, -each[0].end))
    merged: list[tuple[Span, str]] = []
    for span, value in found:
        if merged and span.start < merged[-1][0].end:
            last, kept = merged[-1]
            kind = last.kind if last.kind != "digits" else span.kind
            merged[-1] = Span(last.start, max(last.end, span.end), kind), kept
        else:
            merged.append((span, value))
    return merged


def _is_inside(start: int, end: int, strings: Sequence[tuple[int, int]], begins: Sequence[int]) -> bool:
    """Whether a passage is within one of the strings."""
    before = bisect_left(begins, start) - 1
    return before >= 0 and end <= strings[before][1] - 1


def rendered(text: str, found: Sequence[tuple[Span, str]], policy: Policy, *, limit: int) -> str:
    """Return the text up to `limit` with markers in the places of what was found; a JSON document stays one."""
    found = [each for each in found if each[0].start < limit]
    if not found:
        return text[:limit]
    as_json = is_json(text)
    strings = [match.span() for match in _STRING.finditer(text)] if as_json else []
    begins = [first for first, _ in strings]
    pieces: list[str] = []
    at = 0
    for span, value in found:
        start, end, marker = span.start, span.end, policy.marker(span.kind, value)
        if as_json and not _is_inside(start, end, strings, begins):
            number = next((match for match in _NUMBER.finditer(text, at) if match.end() >= end), None)
            if number is not None:
                start, end = min(start, number.start()), max(end, number.end())
            marker = json.dumps(marker)
        if start < at:
            continue
        pieces += (text[at:start], marker)
        at = end
    result = "".join((*pieces, text[at:limit]))
    return _UNREADABLE if as_json and not is_json(result) else result
