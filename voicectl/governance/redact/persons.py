"""Find what names a person in one text: e-mail addresses, phone and identity numbers, dates of birth."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import phonenumbers
from stdnum.us import ssn

from voicectl.governance.redact.emails import find_emails
from voicectl.governance.redact.numerals import Atom


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` of a text say something of a `kind`."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What the conversation has just asked for, so that a bare answer counts: an identity number, a birth date …"""

    ssn: bool = False
    phone: bool = False
    birth: bool = False
    code: bool = False

    def __or__(self, other: "Asked") -> "Asked":
        return Asked(
            self.ssn or other.ssn, self.phone or other.phone, self.birth or other.birth, self.code or other.code
        )


_ASKS_SSN: Final = re.compile(
    r"\bsocial\s{1,3}(?:security|insurance)|\bssn\b|\b(?:your|my|the)\s{1,3}social\b(?!\s{1,3}(?:media|net))", re.I
)
_ASKS_PHONE: Final = re.compile(
    r"\b(?:phone|telephone|cell|mobile|callback|call\s?back|fax)\b|"
    r"\b(?:call|reach|text|ring)\s{1,3}(?:\w{1,20}\s{1,3}){0,2}(?:me|you|us|him|her)?\s{0,3}(?:back\s{1,3})?(?:at|on)\b"
    r"|\bnumber\s{1,3}to\s{1,3}(?:call|reach)",
    re.I,
)
_ASKS_BIRTH: Final = re.compile(r"\bborn\b|\bbirth\s?(?:day|date)?s?\b|\bd\.?o\.?b\b", re.I)
_ASKS_CODE: Final = re.compile(
    r"\b(?:cvv2?|cvc2?|csc|cv2|cid)\b|\b(?:security|verification)\s{1,3}(?:code|number)", re.I
)
_MONTH: Final = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
_NUMBER: Final = (
    r"(?:zero|oh?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen"
    r"|seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand"
    r"|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|\w{3,7}teenth|twentieth|thirtieth"
    r"|\d{1,8}(?:st|nd|rd|th)?)"
)
_PIECE: Final = rf"(?:{_MONTH}|{_NUMBER})"
_GLUE: Final = r"(?:[\s,./\-–]{1,4}(?:(?:of|the|in|and|slash|dash|uh|um|er)[\s,./\-–]{1,4}){0,3})"
_DATE: Final = re.compile(rf"\b{_PIECE}(?:{_GLUE}{_PIECE}){{0,9}}\b", re.IGNORECASE)
_BIRTH_REACH: Final = 60
"""Characters between "born" and the date."""
_DATE_CHARACTERS: Final = 100
_PHONE_SHAPE: Final = re.compile(
    r"\(?\d{3}\)?[\s.\-–]{1,3}\d{3}[\s.\-–]{1,3}\d{4}|\d{5}[\s-]\d{6}|\d{4}[\s-]\d{3}[\s-]\d{4}"
)
_INTERNATIONAL: Final = re.compile(r"(?<![\w+])\+\s?\d(?:[\s().-]{0,2}\d){6,14}(?!\d)")
_CONTEXT_REACH: Final = 80
_HINT: Final = re.compile(r"@|\bat\b|\+\s?\d", re.IGNORECASE)


_MAY_ASK: Final = re.compile(
    r"social|ssn|phone|cell|mobile|call|fax|reach|text|ring|born|birth|d\.?o\.?b|c[sv][cv]|cv2|cid|security|verif",
    re.IGNORECASE,
)
_NOTHING: Final = Asked()


def asked_in(text: str) -> Asked:
    """Return what a text asks for or announces."""
    if _MAY_ASK.search(text) is None:
        return _NOTHING
    return Asked(
        ssn=_ASKS_SSN.search(text) is not None,
        phone=_ASKS_PHONE.search(text) is not None,
        birth=_ASKS_BIRTH.search(text) is not None,
        code=_ASKS_CODE.search(text) is not None,
    )


def find_persons(text: str, atoms: Sequence[Atom], here: Asked, before: Asked, region: str) -> list[Span]:
    """Return what names a person. `here` is what the text speaks of, `before` what was asked just before it."""
    spans: list[Span] = []
    if _HINT.search(text) is not None:
        spans += [Span(start, end, "email") for start, end in find_emails(text)]
        spans += [
            Span(match.start(), match.end(), "phone")
            for match in _INTERNATIONAL.finditer(text)
            if _is_phone(match[0], region)
        ]
    if here.birth or before.birth:
        spans += _births(text, asked=before.birth)
    for first, last in _numbers(atoms):
        kind = _kind_of(text, atoms[first : last + 1], here, before, region)
        if kind is not None:
            spans.append(Span(atoms[first].start, atoms[last].end, kind))
    return spans


def _births(text: str, *, asked: bool) -> list[Span]:
    """Return the dates behind "born" or "date of birth", or the date that answers the question."""
    starts = [match.end() for match in _ASKS_BIRTH.finditer(text)]
    spans = [
        Span(match.start(), match.end(), "birth")
        for start in starts
        if (match := _DATE.search(text, start, start + _BIRTH_REACH + _DATE_CHARACTERS)) is not None
    ]
    if asked and not starts:
        spans += [Span(match.start(), match.end(), "birth") for match in _DATE.finditer(text) if _is_date(match[0])]
    return spans


def _is_date(text: str) -> bool:
    """Whether an answer is a date: a month with a number, two separators, or six to eight digits."""
    if re.search(rf"\b{_MONTH}\b", text, re.IGNORECASE) is not None:
        return re.search(rf"\b(?!{_MONTH}\b){_NUMBER}\b", text, re.IGNORECASE) is not None
    pieces = len(re.findall(rf"\b{_NUMBER}\b", text, re.IGNORECASE))
    return pieces >= 3 or sum(character.isdigit() for character in text) >= 6


def _numbers(atoms: Sequence[Atom]) -> list[tuple[int, int]]:
    """Return the first and last atoms of the numbers that are said without a word between."""
    runs: list[tuple[int, int]] = []
    for index, atom in enumerate(atoms):
        gap = atom.gap
        if runs and index and gap.words == 0 and not gap.hard and gap.fillers <= 3:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs


def _kind_of(  # noqa: PLR0911 - one return a kind
    text: str, atoms: Sequence[Atom], here: Asked, before: Asked, region: str
) -> str | None:
    digits = "".join(atom.digits for atom in atoms)
    count = len(digits)
    if not 3 <= count <= 13:
        return None
    start = atoms[0].start
    slice_ = text[start : atoms[-1].end]
    left = text[max(0, start - _CONTEXT_REACH) : start]
    if count <= 4 and (before.code or (here.code and _ASKS_CODE.search(left) is not None)):
        return "code"
    if count < 4:
        return None
    if count <= 9:
        asked = (before.ssn and not here.phone) or (here.ssn and _ASKS_SSN.search(left) is not None)
        shaped = re.fullmatch(r"\d{3}[- ]\d{2}[- ]\d{4}", slice_) is not None and ssn.is_valid(slice_.replace(" ", "-"))
        if shaped or asked:
            return "ssn"
    asked = before.phone or (here.phone and _ASKS_PHONE.search(left) is not None)
    if count == 7 and asked:
        return "phone"
    if count in (10, 11, 12, 13) and (asked or _PHONE_SHAPE.search(text, max(0, start - 1), atoms[-1].end) is not None):
        return "phone" if _is_phone(digits, region) or (asked and count == 10) else None
    return None


def _is_phone(number: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False
