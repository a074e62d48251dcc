"""Find the digits in a text, however they are said or written. Knows no cards and no calls."""

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Final

from voicectl.governance.redact.dates import dates
from voicectl.governance.redact.parts import NO_GAP, OF_MONEY, SMALL_DIGITS, Gap, Part, parts_of
from voicectl.governance.redact.words import BEFORE_ONE, Word

_CLOSE_FILLERS: Final = 4
"""Fillers between a digit and a word that only sounds like one, for it to count as one."""
MAX_COUNT_ATOMS: Final = 2


@dataclass(frozen=True, slots=True)
class Atom:
    """The least piece that is read as a number: characters `start` to `end`, and the gap before it.

    `other` is a second reading, None when there is no doubt. One that is `doubtful`, or whose other reading is "",
    may be no number at all. `of` is 1 for a number of things, 2 for a price or a date.
    """

    start: int
    end: int
    digits: str
    gap: Gap
    other: str | None = None
    written: bool = False
    doubtful: bool = False
    of: int = 0

    @property
    def is_certain(self) -> bool:
        """Whether there is one way to read it."""
        return self.other is None and not self.doubtful

    @property
    def may_be_none(self) -> bool:
        """Whether it may be no piece of a number."""
        return self.doubtful or self.other == ""

    @property
    def is_small(self) -> bool:
        """Whether it may be the count of something."""
        return len(self.digits) <= SMALL_DIGITS and self.other in (None, "", self.digits + "0")

    @property
    def max_digits(self) -> int:
        """The digits it has at most."""
        return len(self.digits) if self.other is None else max(len(self.digits), len(self.other))

    @property
    def min_digits(self) -> int:
        """The digits it has at least."""
        if self.doubtful:
            return 0
        return len(self.digits) if self.other is None else min(len(self.digits), len(self.other))


@dataclass(frozen=True, slots=True)
class Numerals:
    """The atoms of a text in order, and what follows the last one."""

    atoms: tuple[Atom, ...]
    tail: Gap


def numerals(text: str, *, goes_on: bool = False) -> Numerals:
    """Return the numbers of a text; `goes_on` when an earlier text ended with one that may not be complete."""
    parts, tail = parts_of(text)
    if not parts:
        return Numerals((), tail)
    tail = _apart_from_dates(text, parts, tail)
    parts, tail = _without_mere_sounds(parts, tail, goes_on=goes_on)
    return _joined(parts, tail)


def _apart_from_dates(text: str, parts: list[Part], tail: Gap) -> Gap:
    """Keep times and dates apart from other numbers, unless they stand among digits: "41 11:11 1111" is none."""
    starts = [part.start for part in parts]
    for span in dates(text):
        first, after = (bisect_left(starts, place) for place in (span[0][0], span[-1][1]))
        if (0 < first < len(parts) and parts[first].gap.is_nothing) or (
            after < len(parts) and parts[after].gap.is_nothing
        ):
            continue
        for part in parts[first:after]:
            part.of = OF_MONEY
        for start, end in span:
            for place in (bisect_left(starts, start), bisect_left(starts, end)):
                if place < len(parts):
                    parts[place].gap = replace(parts[place].gap, hard=True)
                else:
                    tail = replace(tail, hard=True)
    return tail


def _without_mere_sounds(parts: list[Part], tail: Gap, *, goes_on: bool) -> tuple[list[Part], Gap]:
    """Drop the words that sound like digits and stand beside none."""
    mere = [_is_mere_sound(part, parts[index + 1 : index + 2]) for index, part in enumerate(parts)]
    kept = [not each for each in mere]
    kept[0] = kept[0] or (goes_on and _close(parts[0].gap))
    if goes_on or any(kept):
        # "oh" may be a zero that stands alone, and "to each other, one" a digit; "the next one" hardly is.
        kept = [
            keep or part.payload == "0" or (part.before != "next" and part.kind is not Word.SOUND)
            for keep, part in zip(kept, parts, strict=True)
        ]
    for index in range(1, len(parts)):
        kept[index] = kept[index] or (kept[index - 1] and _close(parts[index].gap))
    for index in range(len(parts) - 2, -1, -1):
        kept[index] = kept[index] or (kept[index + 1] and _close(parts[index + 1].gap))
    left: list[Part] = []
    before = NO_GAP
    for part, keep, is_mere in zip(parts, kept, mere, strict=True):
        gap = part.gap if before is NO_GAP else before.then(part.gap)
        if keep:
            part.doubtful = part.doubtful or (is_mere and part.kind is not Word.SOUND)
            part.gap = gap
            left.append(part)
            before = NO_GAP
        else:
            before = gap.then(Gap(fillers=1))
    return left, before.then(tail)


def _is_mere_sound(part: Part, after: list[Part]) -> bool:
    """Whether a word is no number by itself: "for", "to", and the one of "the next one"."""
    if part.kind is Word.SOUND:
        return True
    return (
        part.before in BEFORE_ONE
        and part.payload == "1"
        and not part.written
        and not (after and after[0].gap.is_nothing)
    )


def _close(gap: Gap) -> bool:
    return gap.words == 0 and gap.fillers <= _CLOSE_FILLERS and not gap.hard


def _joined(parts: list[Part], tail: Gap) -> Numerals:
    """Read the parts together: "double two" is 22, "forty one" 41, "four thousand one hundred" 4100."""
    atoms: list[Atom] = []
    index = 0
    before = NO_GAP
    while index < len(parts):
        part = parts[index]
        after = parts[index + 1] if index + 1 < len(parts) and _close(parts[index + 1].gap) else None
        gap = part.gap if before is NO_GAP else before.then(part.gap)
        reading = _reading(part, after, parts, index, bool(atoms) and _close(gap))
        if reading is None:
            before = gap.then(Gap(fillers=1))
            index += 1
            continue
        digits, other, used = reading
        end = parts[index + used - 1].end
        atoms.append(
            Atom(
                part.start,
                end,
                digits,
                gap,
                other,
                part.written and used == 1,
                part.doubtful and used == 1,
                parts[index + used - 1].of,
            )
        )
        before = NO_GAP
        index += used
    tail = before.then(tail)
    return Numerals(_counts_doubted(atoms, tail), tail)


def _counts_doubted(atoms: list[Atom], tail: Gap) -> tuple[Atom, ...]:
    """Doubt what stands alone among words, one word or two: "my two kids", "there are twenty five of us"."""
    behind = [*(atom.gap for atom in atoms[1:]), tail]
    doubted = list(atoms)
    for first in range(len(atoms)):
        for last in range(first, min(first + MAX_COUNT_ATOMS, len(atoms))):
            before, after = atoms[first].gap, behind[last]
            stands = (first == 0 or not before.is_nothing) and (last + 1 == len(atoms) or not after.is_nothing)
            if stands and before.words + after.words > 0 and all(atom.is_small for atom in atoms[first : last + 1]):
                doubted[first : last + 1] = [replace(atom, doubtful=True) for atom in doubted[first : last + 1]]
            if not after.is_nothing:
                break
    return tuple(doubted)


def _reading(  # noqa: PLR0911 - one return a kind of word
    part: Part, after: Part | None, parts: list[Part], index: int, follows: bool
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
            # "for" and "to" may be what they are; the others directly between digits are digits.
            is_between = follows and part.gap.is_nothing and after is not None and after.gap.is_nothing
            is_between = is_between and after is not None and after.kind is not Word.SOUND
            return part.payload, None if is_between and part.payload not in ("2", "4") else "", 1
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


def _filled(after: Part | None, parts: list[Part], index: int, places: int) -> tuple[str, str | None]:
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
    gap = before.then(first.gap)
    gap = replace(gap, hard=True) if gap.label else gap
    return Numerals((replace(first, gap=gap), *numbers.atoms[1:]), numbers.tail)
