"""Find payment card numbers among numbers that follow each other. Knows readings and check digits, not texts."""

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from voicectl.governance.redact.numerals import Atom
from voicectl.governance.redact.parts import CERTAIN, OF_MONEY, OF_THINGS

MIN_DIGITS: Final = 13
MAX_DIGITS: Final = 19
MAX_STEPS: Final = 40_000
"""Steps of reading for one run of numbers: some ten milliseconds."""
MAX_STATES: Final = 400
"""Readings that are followed at the same time from one start; people's numbers have a handful. Beyond it all that was
said is taken for a card number."""
MAX_PIECES: Final = 3
MAX_HARD: Final = 1
"""Gaps that look like the end of a number, over which one is followed where cards are spoken of."""
MAX_TAKEN_BACK: Final = 8
"""Atoms that a word of correction may take back."""
LONG_NUMERAL: Final = 14
"""Written digits in one piece that may hold a card number and something more."""

_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_BEGINS: Final = frozenset("2345689")
_ALL: Final = frozenset(range(13, 20))
_FROM_16: Final = frozenset(range(16, 20))
_NO: Final[frozenset[int]] = frozenset()


@lru_cache(maxsize=10_000)
def lengths(prefix: str) -> frozenset[int]:  # noqa: PLR0911 - one return a network
    """Return how many digits the card numbers of an issuer have that begin with these (four or more) digits.

    The ranges are the networks' own: Visa, Mastercard, American Express, Diners Club, Discover, JCB, UnionPay,
    Maestro, Mir, RuPay, Elo, Troy. Lengths follow ISO/IEC 7812 from 13 digits.
    """
    two, four = int(prefix[:2]), int(prefix[:4])
    if prefix[0] == "4":
        return frozenset({13, 16, 19})
    if two in (34, 37):
        return frozenset({15})
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return frozenset({16})
    if 2200 <= four <= 2204 or 3528 <= four <= 3589 or two in (81, 82):
        return _FROM_16
    if two in (36, 38, 39) or 3000 <= four <= 3059 or four == 3095:
        return _FROM_16 | {14}
    if two in (60, 62, 64, 65):
        return _FROM_16
    if two in (50, 56, 57, 58, 61, 63, 66, 67, 68, 69):
        return _ALL
    return frozenset({16}) if four == 9792 else _NO


def find_cards(atoms: Sequence[Atom], *, about_from: int | None = None) -> list[tuple[int, int]]:
    """Return the first and last atom of every card number in atoms that follow each other.

    From the atom `about_from` on cards are spoken of: a number may come in any number of pieces, and stand inside a
    long written one, not only at its ends.
    """
    anywhere = about_from is not None
    if sum(atom.max_digits for atom in atoms) < MIN_DIGITS:
        return []
    found = [
        (index, index)
        for index, atom in enumerate(atoms)
        if atom.written and len(atom.digits) >= LONG_NUMERAL and _holds_card(atom.digits, anywhere)
    ]
    pieces = _pieces(atoms)
    is_plain = all(atom.is_certain and not atom.gap.corrected for atom in atoms)
    candidates = _plain(atoms) if is_plain else _read(atoms)
    for first, last in candidates:
        about = about_from is not None and first >= about_from
        if _fits(atoms, pieces, first, last, about):
            found.append((first, last))
    return found


def number_of(atoms: Sequence[Atom]) -> str:
    """Return the digits of a card number that was found: those that make it one, if it is not all of them."""
    sure = [atom.digits for atom in atoms if not atom.may_be_none]
    for digits in ("".join(atom.digits for atom in atoms), "".join(sure)):
        if MIN_DIGITS <= len(digits) <= MAX_DIGITS and _checks(digits):
            return digits
    for left_out in range(len(atoms)):
        digits = "".join(atom.digits for index, atom in enumerate(atoms) if index != left_out)
        if atoms[left_out].may_be_none and len(digits) <= MAX_DIGITS and _checks(digits):
            return digits
    return "".join(atom.digits for atom in atoms)


def _read(atoms: Sequence[Atom]) -> list[tuple[int, int]]:
    """Return the first and last atom of the card numbers in every way to read the atoms."""
    found: list[tuple[int, int]] = []
    steps = MAX_STEPS
    for start in range(len(atoms)):
        ends, used = _ends(atoms, start)
        found += [(start, end) for end in ends]
        steps -= used
        if steps < 0:
            # Too many ways to read it for the time there is: all of it may be a card number.
            return [(0, len(atoms) - 1)]
    return found


def _plain(atoms: Sequence[Atom]) -> list[tuple[int, int]]:
    """Return the same where every atom has one reading."""
    digits = "".join(atom.digits for atom in atoms)
    starts: list[int] = []
    ends: dict[int, int] = {}
    at = 0
    for index, atom in enumerate(atoms):
        starts.append(at)
        at += len(atom.digits)
        ends[at] = index
    found: list[tuple[int, int]] = []
    for index, start in enumerate(starts):
        if len(digits) - start < MIN_DIGITS:
            break
        for count in lengths(digits[start : start + 4]):
            end = ends.get(start + count)
            if end is not None and _checks(digits[start : start + count]):
                found.append((index, end))
    return found


def _pieces(atoms: Sequence[Atom]) -> list[int]:
    """Return, for each atom, which piece it is in: pieces have words that mean something between them."""
    piece = 0
    pieces = []
    for index, atom in enumerate(atoms):
        piece += index > 0 and (atom.gap.words > 0 or atom.gap.hard)
        pieces.append(piece)
    return pieces


def _fits(atoms: Sequence[Atom], pieces: Sequence[int], first: int, last: int, about: bool) -> bool:
    """Whether a number with a right check digit, in these pieces, is likely enough a card's.

    One number in ten passes the check. So across words, a card number has few pieces, none of which is a number of
    something else, and neither begins nor ends in the middle of another one.
    """
    going_on = atoms[first + 1 : last + 1]
    begin = bisect_left(pieces, pieces[first])
    if atoms[begin].gap.label == CERTAIN and any(
        atom.gap.words or atom.gap.new_text or atom.gap.corrected for atom in going_on
    ):
        # An order number is over when other words follow, or another text.
        return False
    if all(atom.gap.is_nothing and not atom.gap.new_text for atom in going_on):
        return True
    of = max(atom.of for atom in atoms[first : last + 1])
    if of == OF_MONEY or (of == OF_THINGS and not about):
        return False
    if pieces[first] == pieces[last]:
        return True
    after = last + 1
    begins = first == 0 or atoms[first].gap.breaks_off or atoms[first - 1].may_be_none
    ends = after == len(atoms) or atoms[after].gap.breaks_off or atoms[after].may_be_none
    num_pieces = len(
        {piece for piece, atom in zip(pieces[first:after], atoms[first:after], strict=True) if not atom.may_be_none}
    )
    num_hard = sum(atom.gap.hard for atom in going_on)
    return begins and ends and (about or num_pieces <= MAX_PIECES) and num_hard <= MAX_HARD


def _checks(digits: str) -> bool:
    """Whether the check digit is right (Luhn)."""
    odd, even = digits[-1::-2], digits[-2::-2]
    return (sum(map(int, odd)) + sum(_DOUBLED[int(digit)] for digit in even)) % 10 == 0


_State = tuple[str, int, int, int]
"""The first four digits, how many there are, and the two sums of Luhn: the first digit doubled, or not."""
_EMPTY: Final[_State] = ("", 0, 0, 0)


def _ends(atoms: Sequence[Atom], start: int) -> tuple[list[int], int]:
    """Return where a card number that begins with `start` may end, and the steps."""
    first = atoms[start]
    if first.digits[:1] not in _BEGINS and (first.other or "")[:1] not in _BEGINS:
        return [], 0
    states = [_EMPTY]
    history: list[list[_State]] = []
    ends: list[int] = []
    steps = 0
    for index in range(start, len(atoms)):
        atom = atoms[index]
        if atom.gap.corrected and index > start:
            # What was said before "sorry" may be replaced by what follows. Or not: it may be a mere filler.
            for earlier in history[-2 : -MAX_TAKEN_BACK - 2 : -1]:
                states = states + earlier
        longer = _extended(states, atom)
        states = longer if not atom.may_be_none or index == start else list(dict.fromkeys(longer + states))
        steps += len(states)
        if not states and not any(later.gap.corrected for later in atoms[index + 1 : index + 1 + MAX_TAKEN_BACK]):
            break
        if len(states) > MAX_STATES:
            return [*ends, len(atoms) - 1], steps
        history.append(states)
        if any(_is_card(state) for state in longer):
            ends.append(index)
    return ends, steps


def _extended(states: Sequence[_State], atom: Atom) -> list[_State]:
    """Return the states one atom later, the likelier readings first; not what they are if it is no number."""
    readings = (atom.digits, atom.other) if atom.other else (atom.digits,)
    longer = [_appended(state, reading) for reading in readings for state in states]
    return list(dict.fromkeys(state for state in longer if state is not None))


def _appended(state: _State, digits: str) -> _State | None:
    prefix, count, doubled, plain = state
    if count + len(digits) > MAX_DIGITS:
        return None
    for character in digits:
        digit = int(character)
        if count % 2:
            doubled, plain = doubled + digit, plain + _DOUBLED[digit]
        else:
            doubled, plain = doubled + _DOUBLED[digit], plain + digit
        count += 1
    if len(prefix) < 4:
        prefix = (prefix + digits)[:4]
        if len(prefix) == 4 and not lengths(prefix):
            return None
    return prefix, count, doubled % 10, plain % 10


def _is_card(state: _State) -> bool:
    prefix, count, doubled, plain = state
    if count < MIN_DIGITS or count not in lengths(prefix):
        return False
    # Luhn doubles every second digit from the right: the first one when the count is even.
    return (doubled if count % 2 == 0 else plain) == 0


def _holds_card(digits: str, anywhere: bool) -> bool:
    """Whether a long written number is, begins or ends with a card number, or has one inside."""
    if len(digits) > 2 * MAX_DIGITS:
        # Nobody says that many digits in one piece for another reason than to hide something among them.
        return True
    for start in range(len(digits) - MIN_DIGITS + 1):
        rest = len(digits) - start
        for count in lengths(digits[start : start + 4]):
            if count > rest or not (anywhere or start == 0 or count == rest):
                continue
            if _checks(digits[start : start + count]):
                return True
    return False
