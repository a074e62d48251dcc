"""Find the digits in a text, however they are said or written. Knows no cards and no calls."""

import re
from dataclasses import dataclass, replace
from typing import Final

from voicectl.governance.redact.words import AFTER_ONE, BEFORE_ONE, LABELS, WORDS, Word

_TOKEN: Final = re.compile(r"(\d+)|([^\W\d_]+(?:['’][^\W\d_]+)?)|([$€£¥%])")
_DATE: Final = re.compile(
    r"(?<![\d:/])(?:\d{1,2}:\d\d(?::\d\d)?|\d{1,2}/\d{1,2}/(?:\d\d){1,2}|(?:19|20)\d\d-\d\d-\d\d)(?![\d:/])"
)
_NUMBERS: Final = frozenset(
    {Word.DIGIT, Word.SOUND, Word.TEEN, Word.TENS, Word.HUNDRED, Word.THOUSAND, Word.TIMES, Word.PLURAL}
)
_ORDINALS: Final = frozenset({"st", "nd", "rd", "th"})
_CLOSE_FILLERS: Final = 4
"""Fillers between a digit and a word that only sounds like one, for it to count as one."""
LABEL_REACH: Final = 5
"""Words after which a label no longer names the number that follows."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What stands between two numbers: words that mean something, fillers, and what they say about the numbers.

    After a `hard` gap nothing of what came before goes on. `corrected` means that what follows may replace
    what came before; `new_text` that it begins in an earlier text; `label` that the number is named as another
    kind than a card's: probably (1), certainly (2). `aside` counts the words of texts in between that hold no
    number at all: "let me find my glasses".
    """

    words: int = 0
    fillers: int = 0
    hard: bool = False
    corrected: bool = False
    label: int = 0
    new_text: bool = False
    aside: int = 0

    def then(self, other: "Gap") -> "Gap":
        """Return this gap and the other one behind it."""
        return Gap(
            self.words + other.words,
            self.fillers + other.fillers,
            self.hard or other.hard,
            self.corrected or other.corrected,
            other.label or (self.label if other.words + other.fillers <= LABEL_REACH else 0),
            self.new_text or other.new_text,
            self.aside + other.aside,
        )

    @property
    def breaks_off(self) -> bool:
        """Whether another number may begin behind it: after words, a correction, or in a new text."""
        return self.words > 0 or self.corrected or self.new_text


@dataclass(frozen=True, slots=True)
class Atom:
    """The least piece that is read as a number: characters `start` to `end`, and the gap before it.

    `other` is a second reading, "" when it may be no number at all, None when there is no doubt.
    """

    start: int
    end: int
    digits: str
    gap: Gap
    other: str | None = None
    written: bool = False

    @property
    def max_digits(self) -> int:
        """The digits it has at most."""
        return len(self.digits) if self.other is None else max(len(self.digits), len(self.other))

    @property
    def min_digits(self) -> int:
        """The digits it has at least."""
        return len(self.digits) if self.other is None else min(len(self.digits), len(self.other))


@dataclass(slots=True)
class _Part:
    """A token that may be a number, before its neighbours were looked at."""

    kind: Word
    payload: str
    start: int
    end: int
    gap: Gap
    written: bool = False
    before: str = ""


@dataclass(frozen=True, slots=True)
class Numerals:
    """The atoms of a text in order, and what follows the last one."""

    atoms: tuple[Atom, ...]
    tail: Gap


def numerals(text: str, *, goes_on: bool = False) -> Numerals:
    """Return the numbers of a text; `goes_on` when an earlier text ended with one that may not be complete."""
    parts, tail = _parts(text)
    if not parts:
        return Numerals((), tail)
    tail = _apart_from_dates(text, parts, tail)
    parts, tail = _without_mere_sounds(parts, tail, goes_on)
    return _joined(parts, tail)


def _parts(text: str) -> tuple[list[_Part], Gap]:  # noqa: PLR0912 - one branch a kind of token
    parts: list[_Part] = []
    words = fillers = 0
    since_label, label = LABEL_REACH + 1, 0
    before = ""
    hard = corrected = False
    for match in _TOKEN.finditer(text):
        group = match.lastindex
        if group == 1:
            kind, payload = Word.DIGIT, _ascii(match[1])
        elif group == 2:
            word = match[2].lower().replace("’", "'")
            last_word, before = before, word
            if word in _ORDINALS and parts and parts[-1].end == match.start() and parts[-1].written:
                # "the 15th" is a date or a street, never a piece of a number that is read out.
                parts.pop()
                hard = True
                continue
            found = WORDS.get(word) or ((Word.SOUND, "0" * len(word)) if not word.strip("o") else None)
            if (found is None or found[0] not in _NUMBERS) and _is_glued(text, match.start(), match.end()):
                # An identifier such as a1b2c3: its digits are no number.
                hard = True
                continue
            if found is None:
                if (
                    word in AFTER_ONE
                    and parts
                    and not (words or fillers)
                    and text[parts[-1].start : parts[-1].end].lower() == "one"
                ):
                    gap = parts.pop().gap
                    words, fillers, hard, corrected = (
                        gap.words,
                        gap.fillers,
                        hard or gap.hard,
                        corrected or gap.corrected,
                    )
                    fillers += 2
                    continue
                words += 1
                since_label += 1
                continue
            kind, payload = found
            if kind not in _NUMBERS:
                since_label += 1
                if kind is Word.BREAK:
                    hard = True
                    if word in LABELS:
                        since_label, label = 0, LABELS[word]
                else:
                    fillers += 1
                    corrected = corrected or kind is Word.CORRECTION
                continue
        else:
            hard = True
            continue
        if group == 1:
            last_word, before = before, ""
        gap = Gap(words, fillers, hard, corrected, label if since_label <= LABEL_REACH else 0)
        parts.append(_Part(kind, payload, match.start(), match.end(), gap, group == 1, last_word))
        words = fillers = 0
        since_label = LABEL_REACH + 1
        hard = corrected = False
    return parts, Gap(words, fillers, hard, corrected, label if since_label <= LABEL_REACH else 0)


def _apart_from_dates(text: str, parts: list[_Part], tail: Gap) -> Gap:
    """Keep times and dates apart from other numbers, unless they stand among digits: "41 11:11 1111" is none."""
    for match in _DATE.finditer(text):
        inside = [index for index, part in enumerate(parts) if match.start() <= part.start < match.end()]
        if not inside:
            continue
        first, after = inside[0], inside[-1] + 1
        if (first > 0 and _is_next(parts[first].gap)) or (after < len(parts) and _is_next(parts[after].gap)):
            continue
        parts[first].gap = replace(parts[first].gap, hard=True)
        if after < len(parts):
            parts[after].gap = replace(parts[after].gap, hard=True)
        else:
            tail = replace(tail, hard=True)
    return tail


def _is_next(gap: Gap) -> bool:
    return gap.words == 0 and gap.fillers == 0 and not gap.hard


def _is_glued(text: str, start: int, end: int) -> bool:
    """Whether a word has a digit before or behind it without as much as a space."""
    return (start > 0 and text[start - 1].isdigit()) or (end < len(text) and text[end].isdigit())


def _ascii(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)


def _without_mere_sounds(parts: list[_Part], tail: Gap, goes_on: bool) -> tuple[list[_Part], Gap]:
    """Drop the words that sound like digits and stand beside none."""
    kept = [not _is_mere_sound(part, parts[index + 1 : index + 2]) for index, part in enumerate(parts)]
    kept[0] = kept[0] or (goes_on and _close(parts[0].gap))
    for index in range(1, len(parts)):
        kept[index] = kept[index] or (kept[index - 1] and _close(parts[index].gap))
    for index in range(len(parts) - 2, -1, -1):
        kept[index] = kept[index] or (kept[index + 1] and _close(parts[index + 1].gap))
    left: list[_Part] = []
    before = Gap()
    for part, keep in zip(parts, kept, strict=True):
        gap = before.then(part.gap)
        if keep:
            part.gap = gap
            left.append(part)
            before = Gap()
        else:
            before = gap.then(Gap(fillers=1))
    return left, before.then(tail)


def _is_mere_sound(part: _Part, after: list[_Part]) -> bool:
    """Whether a word is no number by itself: "for", "to", and the one of "the next one"."""
    if part.kind is Word.SOUND:
        return True
    return (
        part.before in BEFORE_ONE
        and part.payload == "1"
        and not part.written
        and not (after and _is_next(after[0].gap))
    )


def _close(gap: Gap) -> bool:
    return gap.words == 0 and gap.fillers <= _CLOSE_FILLERS and not gap.hard


def _joined(parts: list[_Part], tail: Gap) -> Numerals:
    """Read the parts together: "double two" is 22, "forty one" 41, "four thousand one hundred" 4100."""
    atoms: list[Atom] = []
    index = 0
    before = Gap()
    while index < len(parts):
        part = parts[index]
        after = parts[index + 1] if index + 1 < len(parts) and _close(parts[index + 1].gap) else None
        gap = before.then(part.gap)
        reading = _reading(part, after, parts, index, bool(atoms) and _close(gap))
        if reading is None:
            before = gap.then(Gap(fillers=1))
            index += 1
            continue
        digits, other, used = reading
        end = parts[index + used - 1].end
        atoms.append(Atom(part.start, end, digits, gap, other, part.written and used == 1))
        before = Gap()
        index += used
    return Numerals(tuple(atoms), before.then(tail))


def _reading(  # noqa: PLR0911 - one return a kind of word
    part: _Part, after: _Part | None, parts: list[_Part], index: int, follows: bool
) -> tuple[str, str | None, int] | None:
    """Return the digits of a part, another reading of them, and how many parts they took; None if it is no number."""
    match part.kind:
        case Word.TIMES:
            if after is None or after.kind not in (Word.DIGIT, Word.SOUND, Word.PLURAL):
                return None
            times, digits = int(part.payload), after.payload
            return digits[0] * times + digits[1:], digits if len(digits) > 1 else None, 2
        case Word.DIGIT if after is not None and after.kind is Word.PLURAL and not part.written:
            return after.payload * max(int(part.payload), 1), part.payload + after.payload, 2
        case Word.DIGIT if after is not None and after.kind is Word.PLURAL and part.payload in "23456789":
            return after.payload * int(part.payload), part.payload + after.payload, 2
        case Word.SOUND:
            # "for" and "to" may be what they are; the others, and "oh" between digits, are digits.
            sure = part.payload in ("1", "3", "8") or (part.payload == "0" and follows and after is not None)
            return part.payload, None if sure else "", 1
        case Word.TENS:
            joins = after is not None and len(after.payload) == 1 and after.kind in (Word.DIGIT, Word.SOUND)
            if joins and after is not None and after.payload != "0":
                return part.payload, part.payload + "0", 1
            return part.payload + "0", None, 1
        case Word.HUNDRED:
            return (*_filled(after, parts, index, 2), 1) if follows else None
        case Word.THOUSAND:
            return (*_filled(after, parts, index, 3), 1) if follows else None
        case _:
            return part.payload, None, 1


def _filled(after: _Part | None, parts: list[_Part], index: int, places: int) -> tuple[str, str | None]:
    """Return the zeros that "hundred" or "thousand" stand for, given what follows, and another reading."""
    zeros = "0" * places
    if after is None:
        return zeros, None
    behind = parts[index + 2] if index + 2 < len(parts) and _close(parts[index + 2].gap) else None
    if behind is not None and behind.kind in (Word.HUNDRED, Word.THOUSAND):
        # "four thousand one hundred" is one number, "one hundred two thousand" in a row of digits are two.
        return ("", zeros) if places == 3 and behind.kind is Word.HUNDRED else (zeros, None)
    width = {Word.TEEN: 2, Word.TENS: 2, Word.DIGIT: len(after.payload), Word.SOUND: 1, Word.PLURAL: 1}.get(after.kind)
    if width is None or width > places or after.payload == "0":
        return zeros, None
    # "Five hundred and seven" is one number; "five hundred, seven" may be two.
    return "0" * (places - width), None if after.before == "and" else zeros


def shifted(numbers: Numerals, before: Gap) -> Numerals:
    """Return the numerals as they read behind `before`, the gap that an earlier text left open."""
    before = replace(before, new_text=True)
    if not numbers.atoms:
        return Numerals((), before.then(replace(numbers.tail, words=0, aside=numbers.tail.words)))
    first = numbers.atoms[0]
    return Numerals((replace(first, gap=before.then(first.gap)), *numbers.atoms[1:]), numbers.tail)
