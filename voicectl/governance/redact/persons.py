"""Find what names a person in one text: e-mail addresses, phone and identity numbers, dates of birth."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import phonenumbers
from stdnum.us import ssn

from voicectl.governance.redact.births import ASKS_BIRTH, find_births
from voicectl.governance.redact.emails import find_emails
from voicectl.governance.redact.numerals import Atom
from voicectl.governance.redact.words import WORDS, Word


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


_ASKS_SSN: Final = re.compile(
    r"\bsocial\s{1,3}(?:security|insurance)|\bs\.?\s?s\.?\s?n\b|\b(?:your|my|the)\s{1,3}social\b(?!\s{1,3}(?:media|net))",
    re.I,
)
_ASKS_PHONE: Final = re.compile(
    r"\b(?:phone|telephone|cell|mobile|callback|call\s?back|fax)\b|"
    r"\b(?:call|reach|text|ring)\s{1,3}(?:\w{1,20}\s{1,3}){0,2}(?:me|you|us|him|her)?\s{0,3}(?:back\s{1,3})?(?:at|on)\b"
    r"|\bnumber\s{1,3}to\s{1,3}(?:call|reach)|\b(?:my|your|good|best|contact|another)\s{1,3}(?:contact\s{1,3})?number\b",
    re.I,
)
_ASKS_CODE: Final = re.compile(
    r"\b(?:cvv2?|cvc2?|csc|cv2|cid)\b|(?<!social\s)\b(?:security|verification)\s{1,3}(?:code|number)"
    r"|\b(?:digits?|code|numbers?)\s{1,3}(?:\w{1,9}\s{1,3}){0,3}back\b"
    r"|\b(?:three|3|four|4)[\s-]{1,3}digit\s{1,3}(?:security\s{1,3})?(?:code|number)",
    re.I,
)
_OTHER_NUMBER: Final = re.compile(
    r"\b(?:order|invoice|tracking|confirmation|reference|case|ticket|claim|policy|account|zip|serial|model|flight)\b",
    re.I,
)
_PHONE_SHAPE: Final = re.compile(
    r"\(?\d{3}\)?[\s.\-–]{1,3}\d{3}[\s.\-–]{1,3}\d{4}|\d{5}[\s-]\d{6}|\d{4}[\s-]\d{3}[\s-]\d{4}"
)
_SSN_SHAPE: Final = re.compile(r"\d{3}[- ]\d{2}[- ]\d{4}")
_INTERNATIONAL: Final = re.compile(r"(?<![\w+])\+\s?\d(?:[\s().-]{0,2}\d){6,14}(?!\d)")
_CONTEXT_REACH: Final = 80
_HINT: Final = re.compile(r"@|\bat\b|\+\s?\d", re.IGNORECASE)
_NEXT_WORD: Final = re.compile(r"\s{1,3}([a-z']{1,20})", re.IGNORECASE)
_MAY_ASK: Final = re.compile(
    r"social|s\.?\s?s\.?\s?n|phone|cell|mobile|call|fax|reach|text|ring|born|birth|d\.?o\.?b|c[sv][cv]|cv2|cid|security|verif|number"
    r"|digit|back",
    re.IGNORECASE,
)
_NOTHING: Final = Asked()
SSN_DIGITS: Final = 9
PHONE_DIGITS: Final = (10, 11, 7)


def asked_in(text: str) -> Asked:
    """Return what a text asks for or announces."""
    if _MAY_ASK.search(text) is None:
        return _NOTHING
    return Asked(
        ssn=_ASKS_SSN.search(text) is not None,
        phone=_ASKS_PHONE.search(text) is not None,
        birth=ASKS_BIRTH.search(text) is not None,
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
            if is_phone(match[0], region)
        ]
    spans += [Span(start, end, "birth") for start, end in find_births(text, asked=before.birth)]
    for run in number_runs(atoms):
        kind = _kind_of(text, run, here, before, region)
        if kind is not None:
            spans.append(Span(run[0].start, run[-1].end, kind))
    return spans


def number_runs(atoms: Sequence[Atom]) -> Iterator[Sequence[Atom]]:
    """Yield the atoms of the numbers that are said without a word between."""
    first = 0
    for index, atom in enumerate(atoms):
        if index and (atom.gap.words or atom.gap.hard or atom.gap.fillers > 3):
            yield atoms[first:index]
            first = index
    if atoms:
        yield atoms[first:]


def is_answer(text: str, run: Sequence[Atom]) -> bool:
    """Whether a number may be a piece of an answer: not "5000 followers", and no order number."""
    word = _NEXT_WORD.match(text, run[-1].end)
    if word is not None:
        kind = WORDS.get(word[1].lower(), (None, ""))[0]
        if kind not in (Word.FILLER, Word.CORRECTION, Word.SOUND):
            return False
    return not _is_other(text, 0, run[0].start)


def _is_other(text: str, since: int, start: int) -> bool:
    """Whether the number at `start` is named as another one behind `since`."""
    return _OTHER_NUMBER.search(text, max(since, start - _CONTEXT_REACH), start) is not None


def _is_announced(asks: re.Pattern[str], text: str, start: int) -> bool:
    """Whether the number at `start` is what the text speaks of before it."""
    found = list(asks.finditer(text, max(0, start - _CONTEXT_REACH), start))
    return bool(found) and not _is_other(text, found[-1].end(), start)


def _kind_of(text: str, atoms: Sequence[Atom], here: Asked, before: Asked, region: str) -> str | None:
    digits = "".join(atom.digits for atom in atoms)
    count = len(digits)
    if count > 13:
        return None
    start = atoms[0].start
    is_piece = is_answer(text, atoms)
    if count <= 4 and (
        (before.code and is_piece) or (count >= 3 and here.code and _is_announced(_ASKS_CODE, text, start))
    ):
        return "code"
    if count <= SSN_DIGITS and _is_ssn(text, atoms, here, before, is_piece=is_piece):
        return "ssn"
    asked = (before.phone and not _is_other(text, 0, start)) or (here.phone and _is_announced(_ASKS_PHONE, text, start))
    if count == 7 and asked and is_piece:
        return "phone"
    if count >= 10 and (asked or _PHONE_SHAPE.search(text, max(0, start - 1), atoms[-1].end) is not None):
        return "phone" if is_phone(digits, region) or (asked and count in (10, 11)) else None
    return None


def _is_ssn(text: str, atoms: Sequence[Atom], here: Asked, before: Asked, *, is_piece: bool) -> bool:
    """Whether a number is a social security number, or a piece of one that was asked for."""
    written = text[atoms[0].start : atoms[-1].end]
    if _SSN_SHAPE.fullmatch(written) is not None and ssn.is_valid(written.replace(" ", "-")):
        return True
    if sum(len(atom.digits) for atom in atoms) < SSN_DIGITS and not is_piece:
        return False
    return (before.ssn and not here.phone) or (here.ssn and _is_announced(_ASKS_SSN, text, atoms[0].start))


def is_phone(number: str, region: str) -> bool:
    """Whether it is a phone number that may exist."""
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False
