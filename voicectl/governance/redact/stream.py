"""Follow the numbers that one speaker says, across texts, until they are a card number or cannot become one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from voicectl.governance.redact.cards import MAX_DIGITS, find_cards, lengths, number_of
from voicectl.governance.redact.numerals import Atom, Numerals, shifted
from voicectl.governance.redact.parts import CERTAIN, Gap

MAX_WORDS: Final = 12
"""Words that mean something, other than fillers, between two pieces of one number."""
MAX_ASIDE: Final = 20
"""Words of texts in between that hold no number."""
MAX_WORDS_ABOUT_CARDS: Final = 40
MAX_FILLERS: Final = 40
SHOWN_DIGITS: Final = 6
"""Digits at the beginning of a number that may be shown before it is known whether it is a card's (PCI DSS 3.4.1)."""
ABOUT_CARDS_DIGITS: Final = 13
"""Where cards are spoken of, numbers of so many digits are taken for a card's, whatever their check digit says:
speech recognition gets one digit in fifty wrong, so half of all card numbers would fail the check."""
BEGUN_DIGITS: Final = 9
"""The same where a card was just spoken of and they begin as its number does: one that broke off is kept no more
than a whole one."""
MISHEARD_PIECES: Final = 4
AFTER_CARD_DIGITS: Final = 11
"""Expiry date and code that may follow a card number."""
MAX_ATOMS: Final = 120
"""Numbers in a row that are looked at; a longer row in one text is taken out as a whole."""
OVERLAP: Final = 40
GRAM: Final = 5
"""Digits in a row of a known card number that are taken out wherever they are said again; four are the last four."""
ECHO: Final = 3
"""Digits in a row of a number that is still open which are covered where another speaker repeats them."""
RECENT_SAID: Final = 30
MAX_SAID: Final = 2000

_ABOUT_CARDS: Final = re.compile(
    r"\b(?:cards?|mastercard|amex|american express|maestro|visa|long number|sixteen digits?|16 digits?)\b",
    re.IGNORECASE,
)


def speaks_of_cards(text: str) -> bool:
    """Whether a text is about payment cards."""
    return _ABOUT_CARDS.search(text) is not None


@dataclass(slots=True, eq=False)
class Said:
    """An atom as it was said in the text `key`, and what is known of it.

    `card` is the whole number it belongs to. `covered` means that it may become a piece of one, `echoed`
    that it repeats what another speaker may be saying as one, `about_cards` that cards were spoken of.
    """

    key: str
    atom: Atom
    card: str | None = None
    covered: bool = False
    echoed: bool = False
    about_cards: bool = False


class Stream:
    """The numbers of one speaker. The last run of them is open: what is said next may go on with it."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self._by_key: dict[str, list[Said]] = {}
        self._run: list[Said] = []
        self._tail = Gap()
        self._num_echoes = 0
        self.ended_as_card = False
        """Whether the last run that is over held a card number."""

    @property
    def is_open(self) -> bool:
        """Whether what is said next may matter for what was said."""
        return bool(self._run)

    def of(self, key: str) -> list[Said]:
        """Return what was said in one text."""
        return self._by_key.get(key, [])

    def forget(self, key: str) -> None:
        """Drop what was said in a text, which is replaced."""
        self._by_key.pop(key, None)
        self.said = [said for said in self.said if said.key != key]
        self._run = [said for said in self._run if said.key != key]

    def feed(self, key: str, numbers: Numerals, *, about_cards: bool, asked_for: bool) -> set[str]:
        """Take the numbers of the next text; `asked_for` when a card was just spoken of.

        Returns the keys of the texts whose marks may have changed.
        """
        chained = shifted(numbers, self._tail)
        touched = {said.key for said in self._run}
        if len(chained.atoms) > MAX_ATOMS:
            self._end_run()
            for atom in chained.atoms:
                self._add(Said(key, atom, card=""))
            self._tail = Gap()
            return touched | {key}
        for atom in chained.atoms:
            said = Said(key, atom, about_cards=about_cards)
            if self._run and not _joins(atom.gap, about_cards):
                self._judge(about_cards, asked_for=asked_for)
                self._end_run()
            self._run.append(said)
            self._add(said)
        self._tail = chained.tail
        if chained.atoms or about_cards:
            self._judge(about_cards, asked_for=asked_for)
        for said in self._run[:-OVERLAP]:
            # So long ago that no card number reaches from there to what comes next.
            said.covered = False
        del self._run[:-OVERLAP]
        if self._run and not _joins(replace(self._tail, new_text=True), about_cards):
            self._end_run()
        return touched | {key}

    def end(self) -> set[str]:
        """Nothing more is said. Returns the keys of the texts whose marks may have changed."""
        touched = {said.key for said in self._run}
        self._end_run()
        return touched

    def break_off(self) -> None:
        """What would be said next is lost: what may be the beginning of a card number is taken for one."""
        for said in self._run:
            if said.covered:
                said.card = ""
        self._end_run()

    def open_grams(self) -> set[str]:
        """Return the digits in a row of the number that is still open, if it is long enough to be covered."""
        digits = "".join(said.atom.digits for said in self._run)
        if not any(said.covered or said.card is not None for said in self._run):
            return set()
        return {digits[at : at + ECHO] for at in range(len(digits) - ECHO + 1)}

    def echo(self, grams: set[str]) -> set[str]:
        """Cover what repeats what another speaker has not finished saying. Returns the keys of the texts it changed."""
        places = [said for said in self.said[-RECENT_SAID:] for _ in said.atom.digits]
        digits = "".join(said.atom.digits for said in self.said[-RECENT_SAID:])
        touched: set[str] = set()
        for start in range(len(digits) - ECHO + 1):
            if digits[start : start + ECHO] in grams:
                for said in places[start : start + ECHO]:
                    said.echoed = True
                    self._num_echoes += 1
                    touched.add(said.key)
        return touched

    def settle_echoes(self, *, as_card: bool) -> set[str]:
        """Uncover what repeated another speaker's number, or keep it out if that was a card's.

        Returns the keys of the texts that it changed.
        """
        echoes, self._num_echoes = self._num_echoes, 0
        if not echoes:
            return set()
        touched: set[str] = set()
        for said in self.said:
            if said.echoed:
                said.echoed = False
                said.card = said.card if said.card is not None or not as_card else ""
                touched.add(said.key)
        return touched

    def sweep(self, grams: set[str], last: int = MAX_SAID) -> set[str]:
        """Mark what repeats a part of a known card number. Returns the keys of the texts that it changed."""
        recent = self.said[-last:]
        places = [said for said in recent for _ in said.atom.digits]
        digits = "".join(said.atom.digits for said in recent)
        touched: set[str] = set()
        for start in range(len(digits) - GRAM + 1):
            if digits[start : start + GRAM] in grams:
                for said in places[start : start + GRAM]:
                    if said.card is None:
                        said.card = ""
                        touched.add(said.key)
        return touched

    def _add(self, said: Said) -> None:
        self.said.append(said)
        self._by_key.setdefault(said.key, []).append(said)
        if len(self.said) > MAX_SAID:
            for key in {old.key for old in self.said[: MAX_SAID // 2]} - {said.key}:
                self._by_key.pop(key, None)
            del self.said[: MAX_SAID // 2]

    def _end_run(self) -> None:
        if self._run:
            self.ended_as_card = any(said.card is not None for said in self._run)
        for said in self._run:
            said.covered = False
        self._run = []

    def _about_from(self, about_cards: bool) -> int | None:
        """Return the first number of the run that was said when cards were spoken of."""
        if not about_cards:
            return None
        return next((index for index, said in enumerate(self._run) if said.about_cards), len(self._run))

    def _judge(self, about_cards: bool, *, asked_for: bool) -> None:
        """Mark what belongs to a card, and cover what may yet."""
        run = self._run
        atoms = [said.atom for said in run]
        for first, last in find_cards(atoms, about_from=self._about_from(about_cards)):
            number = number_of(atoms[first : last + 1])
            for said in run[first : last + 1]:
                said.card = said.card or number
            _mark_after(run[last + 1 :])
        if about_cards:
            for segment in _segments(run):
                number = "".join(said.atom.digits for said in segment)
                begins = bool(lengths(number[:4]))
                whole = len(number) >= ABOUT_CARDS_DIGITS and (
                    begins or all(said.atom.gap.aside == 0 for said in segment[1:])
                )
                begun = asked_for and begins and all(said.about_cards and not said.atom.of for said in segment)
                if whole or (begun and len(number) >= BEGUN_DIGITS):
                    for said in segment:
                        said.card = said.card or number
        if about_cards and asked_for:
            _mark_misheard(run)
        _cover(run, about_cards)


def _mark_misheard(run: Sequence[Said]) -> None:
    """Mark an interrupted number as long as a card's is, behind a question for one, whatever its check digit says."""
    segments = _segments(run)
    for first in range(len(segments)):
        sure = ""
        for last in range(first, min(first + MISHEARD_PIECES, len(segments))):
            if not all(said.about_cards and not said.atom.of for said in segments[last]):
                break
            more = "".join(said.atom.digits for said in segments[last] if not said.atom.may_be_none)
            sure += more
            if last == first and len(sure) >= ABOUT_CARDS_DIGITS:
                break
            if more and len(sure) >= ABOUT_CARDS_DIGITS and len(sure) in lengths(sure[:4]):
                for said in (said for segment in segments[first : last + 1] for said in segment):
                    said.card = said.card or sure
                break


def _joins(gap: Gap, about_cards: bool) -> bool:
    """Whether a number may go on behind a gap."""
    if gap.closed or gap.label == CERTAIN or (gap.hard and not about_cards):
        return False
    words, aside = (MAX_WORDS_ABOUT_CARDS, MAX_WORDS_ABOUT_CARDS) if about_cards else (MAX_WORDS, MAX_ASIDE)
    return gap.words <= words and gap.aside <= aside and gap.fillers <= MAX_FILLERS


def _mark_after(rest: Sequence[Said]) -> None:
    """Mark the digits behind a card number: its expiry date and its code, which may never be kept."""
    count = 0
    for said in rest:
        count += said.atom.max_digits
        if said.atom.gap.words or count > AFTER_CARD_DIGITS:
            break
        said.card = said.card or ""


def _segments(run: Sequence[Said]) -> list[list[Said]]:
    """Return the parts of a run that are said in one go and not named as another kind of number."""
    segments: list[list[Said]] = []
    for said in run:
        gap = said.atom.gap
        if not segments or gap.hard or gap.words:
            segments.append([])
        segments[-1].append(said)
    return [segment for segment in segments if not segment[0].atom.gap.label]


def _cover(run: Sequence[Said], about_cards: bool) -> None:
    """Cover all but the first digits of what may be the beginning of a card number."""
    left = sum(said.atom.min_digits for said in run)
    count: int | None = None
    # Digits that were taken back do not count.
    most = 2 * MAX_DIGITS if any(said.atom.gap.corrected for said in run) else MAX_DIGITS
    named = bool(run) and run[0].atom.gap.label == CERTAIN and not about_cards
    for said in run:
        atom = said.atom
        may_begin = about_cards or atom.digits[:1] in ("2", "3", "4", "5", "6", "8", "9") or not atom.is_certain
        if count is None and may_begin and left < most and not named:
            count = 0
        left -= atom.min_digits
        if count is not None:
            count += atom.max_digits
        said.covered = count is not None and count > SHOWN_DIGITS and said.card is None
