"""Split a text into the words that may be numbers, and what stands between them. Knows words, not what they mean."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from voicectl.governance.redact.words import (
    AFTER_ONE,
    ALSO_WORDS,
    BEFORE_COUNT,
    BEFORE_ONE,
    CHATTED,
    COUNTED,
    LABELS,
    NAMING,
    NO_NAME_BEHIND,
    SINGULAR,
    TELLING,
    WEAK_NAMES,
    WORDS,
    Word,
)

NUMBERS: Final = frozenset(
    {Word.DIGIT, Word.SOUND, Word.TEEN, Word.TENS, Word.HUNDRED, Word.THOUSAND, Word.TIMES, Word.PLURAL}
)
SMALL: Final = frozenset({Word.DIGIT, Word.TEEN, Word.TENS})
SMALL_DIGITS: Final = 2
CERTAIN: Final = 2
OF_THINGS: Final = 1
OF_MONEY: Final = 2
LAST_DAY: Final = 31
PLACE_DIGITS: Final = 5
"""Digits of the number of a room, at most."""
LABEL_REACH: Final = 5
"""Fillers after which a name no longer names the number that follows."""
_TOKEN: Final = re.compile(r"(\d+)|([^\W\d_]+(?:['’][^\W\d_]+)?)|([$€£¥%])")
_AM_I: Final = re.compile(r"\s+i\b", re.IGNORECASE)
_ORDINALS: Final = frozenset({"st", "nd", "rd", "th"})


@dataclass(frozen=True, slots=True)
class Gap:
    """What stands between two numbers: words that mean something, fillers, and what they say about the numbers.

    After a `hard` gap nothing of what came before goes on, unless cards are spoken of; after one that is `closed`
    not even then. `corrected` means that what follows may replace what came before; `new_text` that it begins in
    an earlier text; `label` that the number is named as another kind than a card's: probably (1), certainly (2).
    `aside` counts the words of texts in between that hold no number at all: "let me find my glasses".
    """

    words: int = 0
    fillers: int = 0
    hard: bool = False
    corrected: bool = False
    label: int = 0
    new_text: bool = False
    aside: int = 0
    closed: bool = False

    def then(self, other: "Gap") -> "Gap":
        """Return this gap and the other one behind it."""
        return Gap(
            self.words + other.words,
            self.fillers + other.fillers,
            self.hard or other.hard,
            self.corrected or other.corrected,
            other.label or (self.label if other.words == 0 and other.fillers <= LABEL_REACH else 0),
            self.new_text or other.new_text,
            self.aside + other.aside,
            self.closed or other.closed,
        )

    @property
    def breaks_off(self) -> bool:
        """Whether another number may begin behind it: after words, a correction, or in a new text."""
        return self.words > 0 or self.corrected or self.new_text or self.hard

    @property
    def is_nothing(self) -> bool:
        """Whether the numbers on its sides follow each other directly."""
        return self.words == 0 and self.fillers == 0 and not self.hard


NO_GAP: Final = Gap()


@dataclass(slots=True)
class Part:
    """A token that may be a number, and the word before it.

    A `doubtful` one may also count something; one `of` something has the name of that beside it: a unit (1), a
    currency, or it is a date (2).
    """

    kind: Word
    payload: str
    start: int
    end: int
    gap: Gap
    written: bool = False
    before: str = ""
    doubtful: bool = False
    of: int = 0

    @property
    def is_small(self) -> bool:
        """Whether it may count things: "two", "15"."""
        return self.kind in SMALL and len(self.payload) <= SMALL_DIGITS


def parts_of(text: str) -> tuple[list[Part], Gap]:
    """Return the tokens of a text that may be numbers, and what follows the last one."""
    scan = _Scan(text)
    scan.read(_TOKEN.finditer(text))
    scan.end()
    return scan.parts, scan.tail()


class _Scan:
    """Reads token by token, and remembers what came since the last number."""

    def __init__(self, text: str) -> None:
        self.parts: list[Part] = []
        self._text = text
        self._before = ""
        self._named: list[tuple[int, Word]] = []
        self._is_price = False
        self._start_gap()

    def _start_gap(self) -> None:
        self._words = self._fillers = self._label = self._since_label = 0
        self._hard = self._closed = self._corrected = False
        self._named_next: Word | None = None
        self._needs_telling = False

    def gap(self) -> Gap:
        """Return what came since the last number."""
        if not (self._words or self._fillers or self._hard):
            return NO_GAP
        label = self._label if self._since_label <= LABEL_REACH and not self._needs_telling else 0
        return Gap(self._words, self._fillers, self._hard, self._corrected, label, closed=self._closed)

    def tail(self) -> Gap:
        """Return the same at the end of the text: "I dropped my phone" names nothing, "my phone number is" does."""
        gap = self.gap()
        return gap if self._before in TELLING else replace(gap, label=0)

    def read(self, tokens: Iterable[re.Match[str]]) -> None:
        """Take the tokens in order."""
        for token in tokens:
            if token.lastindex == 1:
                digits = token[1]
                self._number(Word.DIGIT, digits if digits.isascii() else _ascii(digits), token, written=True)
                self._before = ""
            elif token.lastindex == 2:
                word = token[2].lower().replace("’", "'")
                if self._is_price:
                    # "$41.11 1111" may be anything; with a word behind it it was a price.
                    self._hard = self._closed = True
                    self._is_price = False
                self._word(word, token)
                self._before = word
            else:
                self._belongs(OF_MONEY, belongs=True)
                self._is_price = True

    def end(self) -> None:
        """Break off before the day behind a month, and the number of a room: not before a longer one."""
        for index, kind in self._named:
            if index >= len(self.parts):
                continue
            first, *others = self._following(index)
            if kind is Word.PLACE:
                is_it = len(first.payload) + sum(len(part.payload) for part in others) <= PLACE_DIGITS
            else:
                is_it = _is_day(first, others)
            if is_it:
                first.gap = replace(first.gap, hard=True)
                for part in (first, *others):
                    part.of = max(part.of, OF_THINGS)

    def _following(self, index: int) -> list[Part]:
        """Return the part at `index` and the next ones that follow it without words."""
        following = [self.parts[index]]
        for part in self.parts[index + 1 : index + 1 + PLACE_DIGITS]:
            if part.gap.words or part.gap.hard:
                break
            following.append(part)
        return following

    def _number(self, kind: Word, payload: str, token: re.Match[str], *, written: bool = False) -> None:
        gap = self.gap()
        if gap.label:
            gap = replace(gap, hard=True)
        part = Part(kind, payload, token.start(), token.end(), gap, written, self._before)
        is_one = payload == "1" and not written and gap.words > 0 and self._before not in WORDS
        part.doubtful = is_one or (part.is_small and (self._before in BEFORE_COUNT or self._before in BEFORE_ONE))
        part.of = OF_MONEY if self._is_price else 0
        if self._named_next is not None:
            self._named.append((len(self.parts), self._named_next))
        self.parts.append(part)
        self._start_gap()

    def _word(self, word: str, token: re.Match[str]) -> None:
        found = WORDS.get(word) or ((Word.SOUND, "0" * len(word)) if not word.strip("o") else None)
        kind = None if found is None else found[0]
        if found is not None and kind in NUMBERS:
            self._number(found[0], found[1], token)
        elif self._is_glued(token):
            self._identifier(word, token)
        elif kind is None or (word == "am" and _AM_I.match(self._text, token.end()) is not None):
            self._plain(word)
        elif kind in (Word.FILLER, Word.SPAN, Word.CORRECTION):
            self._filler(word, kind)
        else:
            self._meaning(word, kind)

    def _identifier(self, word: str, token: re.Match[str]) -> None:
        """Take letters that stand at a digit without as much as a space: "15th", "a1b2c3", "4111x1111"."""
        if word in _ORDINALS and self.parts and self.parts[-1].end == token.start() and self.parts[-1].written:
            # "the 15th" is a date or a street, never a piece of a number that is read out.
            self.parts.pop()
        if word == "x":
            self._fillers += 1
        else:
            self._hard = True

    def _is_glued(self, token: re.Match[str]) -> bool:
        """Whether a word has a digit before or behind it without as much as a space."""
        start, end = token.span()
        return (start > 0 and self._text[start - 1].isdigit()) or (end < len(self._text) and self._text[end].isdigit())

    def _plain(self, word: str) -> None:
        if word in AFTER_ONE and self._before == "one":
            self._doubt_count(word)
        self._words += 1
        self._named_next = None
        if word in NAMING:
            self._since_label += 1
            self._needs_telling = self._needs_telling and word not in TELLING
        else:
            self._label = 0

    def _filler(self, word: str, kind: Word) -> None:
        if word in COUNTED or kind is Word.SPAN:
            # "four digits", "two seconds", "forty five minutes"
            self._doubt_count(word)
        self._fillers += 1
        self._since_label += 1
        self._needs_telling = self._needs_telling and word not in TELLING
        if kind is Word.CORRECTION and word != "no":
            self._corrected = True
            self._label = 0
        self._corrected = self._corrected or kind is Word.CORRECTION

    def _meaning(self, word: str, kind: Word) -> None:
        """Take a word that may say what the number beside it is; away from numbers it is a word like others."""
        behind = self._words == 0 and self._fillers == 0
        if kind is Word.CURRENCY:
            self._belongs(OF_MONEY, behind)
        elif kind is Word.STREET or word == "highway":
            self._belongs(OF_THINGS, self._words + self._fillers <= 1)
        elif word in CHATTED and behind and self.parts and self.parts[-1].is_small:
            self._doubt_count(word)
        elif kind is Word.UNIT or (kind is Word.MONTH and word not in ALSO_WORDS):
            self._belongs(OF_THINGS, behind)
        self._words += 1
        is_thing = self._before not in NO_NAME_BEHIND
        # "on March five" is a day; "in March, five" goes on with something else.
        is_dated = kind is Word.MONTH and self._before != "in"
        self._named_next = kind if is_dated or (kind is Word.PLACE and is_thing) else None
        is_name = kind is Word.NAME and is_thing
        self._label, self._since_label = (LABELS[word], 0) if is_name else (0, 0)
        self._needs_telling = is_name and word in WEAK_NAMES

    def _belongs(self, of: int, belongs: bool) -> None:
        """Note what the number before is a number of."""
        if not belongs:
            return
        self._hard = True
        self._closed = self._closed or of == OF_MONEY
        if self.parts:
            self.parts[-1].of = of

    def _doubt_count(self, word: str) -> None:
        """Take the number directly before `word` for a count, or doubt it."""
        if not self.parts or self._words or self._fillers or not self.parts[-1].is_small:
            return
        first = len(self.parts) - 1
        if first and self.parts[first].gap.is_nothing and self.parts[first - 1].kind is Word.TENS:
            first -= 1
        count = self.parts[first:]
        is_apart = count[0].gap.words > 0 or (first == 0 and word != "second")
        if not is_apart or word in COUNTED or (word in SINGULAR and count[0].payload != "1"):
            # Behind other digits it may be one more, and "three second row" counts nothing.
            for part in count:
                part.doubtful = True
            return
        del self.parts[first:]
        gap = count[0].gap
        self._words, self._fillers, self._hard = gap.words, gap.fillers + 1, gap.hard
        self._closed, self._corrected = gap.closed, gap.corrected


def _is_day(first: Part, others: Sequence[Part]) -> bool:
    """Whether a number behind a month is a day, and a year at most behind it."""
    day = int(first.payload) * (10 if first.kind is Word.TENS else 1)
    if first.kind is Word.TENS and others and len(others[0].payload) == 1 and others[0].kind is Word.DIGIT:
        # "thirty-one" is a day, "thirty-six" is none.
        day += int(others[0].payload)
        others = others[1:]
    return 1 <= day <= LAST_DAY and (not others or _is_century(others[0]))


def _is_century(part: Part) -> bool:
    return part.payload[:2] in ("19", "20") or (part.kind is Word.TENS and part.payload == "2")


def _ascii(digits: str) -> str:
    return "".join(str(int(digit)) for digit in digits)
