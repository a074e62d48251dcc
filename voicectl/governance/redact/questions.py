"""Remember what a call has asked for, until it is answered. Knows the pieces of an answer in several texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from voicectl.core.events import Role
from voicectl.governance.redact.numerals import Atom
from voicectl.governance.redact.persons import PHONE_DIGITS, SSN_DIGITS, Asked, Span, is_answer, number_runs

ASKED_TEXTS: Final = 3
"""Texts for which a question waits for its answer, or for more of it."""
MIN_PIECE: Final = 2
MAX_PIECES: Final = 10


@dataclass(frozen=True, slots=True)
class _Piece:
    key: str
    span: Span
    digits: str


@dataclass(slots=True)
class Questions:
    """What was asked for, and what was answered so far."""

    _asked: Asked = field(default_factory=Asked)
    _left: int = 0
    _ssn_digits: int = 0
    _phone: dict[Role, list[_Piece]] = field(default_factory=dict)

    @property
    def open(self) -> Asked:
        """What the next text may answer."""
        return self._asked if self._left > 0 else Asked()

    def take(self, here: Asked, atoms: Sequence[Atom], spans: Sequence[Span]) -> None:
        """Note what a text asks for, and what in it was found as an answer."""
        answered = {span.kind for span in spans} & {"ssn", "code", "birth"}
        if here != Asked():
            self._asked, self._left, self._ssn_digits = here, ASKED_TEXTS, 0
            self._phone.clear()
        elif answered:
            self._left = ASKED_TEXTS
        else:
            self._left -= 1
        for span in spans:
            if span.kind == "ssn":
                self._ssn_digits += sum(len(atom.digits) for atom in atoms if span.start <= atom.start < span.end)
        if self._ssn_digits >= SSN_DIGITS:
            self._asked, self._ssn_digits = replace(self._asked, ssn=False), 0

    def phone_in_pieces(self, key: str, speaker: Role, text: str, atoms: Sequence[Atom]) -> dict[str, list[Span]]:
        """Return the pieces of a phone number, by text, when the last of them was said."""
        if not self.open.phone:
            return {}
        pieces = [piece for piece in self._phone.get(speaker, []) if piece.key != key]
        for run in number_runs(atoms):
            digits = "".join(atom.digits for atom in run)
            if len(digits) >= MIN_PIECE and is_answer(text, run):
                pieces.append(_Piece(key, Span(run[0].start, run[-1].end, "phone"), digits))
                self._left = ASKED_TEXTS
        self._phone[speaker] = pieces[-MAX_PIECES:]
        for count in range(2, len(pieces) + 1):
            if sum(len(piece.digits) for piece in pieces[-count:]) in PHONE_DIGITS[: 2 if count == 2 else 3]:
                found: dict[str, list[Span]] = {}
                for piece in pieces[-count:]:
                    found.setdefault(piece.key, []).append(piece.span)
                return found
        return {}
