"""Divide a text into the pieces that are synthesised one after the other. Pure; offsets are kept."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

MAX_SEGMENT_CHARS: Final = 160
"""Longest segment: about 10 s of speech, so that the front end, which runs whole, stays below 0.1 s."""

_IGNORED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Mn", "Sk"})
_FIRST_PICTURE: Final = "\u2190"
_CLOSERS: Final = "\"')]”’»"
_STOPS: Final = tuple(".!?…。！？")
_SENTENCE_END: Final = re.compile(r"[.!?…。！？]+[\"')\]”’»]*(?=\s|$)|\n\s*\n")
_CLAUSE_END: Final = re.compile(r"[,;:—–][\"')\]”’»]*(?=\s)")
_ABBREVIATION: Final = re.compile(
    r"(?:^|[\s(\"'])(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|inc|ltd|co|approx|e\.g|i\.e|(?!i\.)[a-z](?:\.[a-z])*)\.$",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Span:
    """A range of characters of the request's text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence or less."""

    span: Span
    text: str

    @property
    def ends_sentence(self) -> bool:
        """Return whether a sentence's pause belongs after it."""
        return self.text.rstrip().rstrip(_CLOSERS)[-1:] in _STOPS

    def words(self) -> list[Span]:
        """Return the words (runs between spaces that hold something to say), offsets into the request's text."""
        return [
            Span(self.span.start + match.start(), self.span.start + match.end())
            for match in _WORD.finditer(self.text)
            if any(_is_spoken(character) for character in match.group())
        ]

    def spoken(self, word: Span) -> str:
        """Return the text of one of its words."""
        return self.text[word.start - self.span.start : word.end - self.span.start]


def sanitise(text: str) -> str:
    """Replace what a voice cannot say (emoji, control and format characters) by spaces, one for one."""
    return "".join(" " if _is_ignored(character) else character for character in text)


def segments(text: str) -> list[Segment]:
    """Return the segments of `text` in order; none for a text without anything to say."""
    clean = sanitise(text)
    found = []
    for sentence in _sentences(clean):
        for piece in _bounded(clean, sentence):
            segment = Segment(piece, clean[piece.start : piece.end])
            if segment.words():
                found.append(segment)
    return found


def _is_ignored(character: str) -> bool:
    if character in "\n\t":
        return False
    category = unicodedata.category(character)
    if category in _IGNORED_CATEGORIES:
        # Combining marks stay: decomposed letters need them. Selectors of emoji shapes do not.
        return category != "Mn" or "\ufe00" <= character <= "\ufe0f"
    return category == "So" and character >= _FIRST_PICTURE


def _is_spoken(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character) in {"Sc", "Sm", "So"} or character in "%&@#"


def _sentences(text: str) -> list[Span]:
    spans, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        if _is_abbreviation(text, match):
            continue
        spans.append(Span(start, match.end()))
        start = match.end()
    spans.append(Span(start, len(text)))
    return spans


def _is_abbreviation(text: str, end: re.Match[str]) -> bool:
    if end.group() != ".":
        return False
    following = text[end.end() :].lstrip()[:1]
    if not following:
        return False
    return following.islower() or _ABBREVIATION.search(text[max(0, end.end() - 12) : end.end()]) is not None


def _bounded(text: str, sentence: Span) -> list[Span]:
    """Return the sentence cut into pieces of bounded length."""
    pieces, start = [], sentence.start
    while sentence.end - start > MAX_SEGMENT_CHARS:
        cut = _cut(text, start)
        pieces.append(Span(start, cut))
        start = cut
    return [*pieces, Span(start, sentence.end)]


def _cut(text: str, start: int) -> int:
    """Return where to cut: after the last clause that fits, else after the last word, else anywhere."""
    window = text[start : start + MAX_SEGMENT_CHARS]
    clauses = [match.end() for match in _CLAUSE_END.finditer(window) if match.end() > MAX_SEGMENT_CHARS // 3]
    if clauses:
        return start + clauses[-1]
    space = max(window.rfind(" "), window.rfind("\n"), window.rfind("\t"))
    return start + (space if space > 0 else MAX_SEGMENT_CHARS)
