"""Find e-mail addresses in a text, written and spoken: "john dot doe at example dot com". Linear in the text."""

import re
from collections.abc import Iterator
from typing import Final


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_TLDS: Final = _set(
    "com net org edu gov mil info biz io co uk us ca au de fr es it nl eu in ie nz ch at be se no dk fi pl br mx jp "
    "health bank app dev ai me tv cloud tech online store shop site email mail group media digital agency studio "
    "services solutions systems network software world life live today team law legal clinic care dental consulting "
    "energy finance insurance realty travel academy education school church club family space website xyz pro mobi "
    "name global international company business center support news blog pl ru cn kr za sg hk at pt gr cz"
)
_MAILBOX: Final = re.compile(r"[\w.+%-]{1,64}\s?\Z")
_HOST: Final = re.compile(r"\s?[\w-]{1,63}(?:\s?\.\s?[\w-]{1,63}){1,4}")
_MAX_MAILBOX: Final = 65
_TOKEN: Final = re.compile(r"[\w'’]+|[.@+-]")
_JOINS: Final = _set("dot period point underscore dash hyphen minus plus . + -")
_DOTS: Final = frozenset({"dot", "period", "point", "."})
_NO_NAMES: Final = _set(
    "look us me go find visit see them him her you it that this here there shop order buy be is are was online "
    "website site available work works worked working bought buys buying shopped shopping got get live lives stay "
    "stayed study studied employed sign signed log logged register registered hosted sold"
)
"""Words that stand before "at example dot com" and are no mailbox."""
_STOP: Final = "\n"
_BEFORE_NAME: Final = _set("is it's its email mail address")
MAX_PLAIN: Final = 4
"""Plain words before the last one of a mailbox."""
MAX_NAME: Final = 40
MAX_HOST: Final = 24
"""Tokens on either side of "at"."""


def find_emails(text: str) -> list[tuple[int, int]]:
    """Return where the addresses of a text begin and end."""
    found = list(_written(text))
    lowered = text.lower()
    if " at " not in lowered and "@" not in lowered:
        return found
    tokens = list(_TOKEN.finditer(lowered))
    # A full stop with a space behind it ends a sentence: "at two. It was late" is no host.
    words = [
        _STOP if token[0] == "." and lowered[token.end() : token.end() + 1].isspace() else token[0] for token in tokens
    ]
    for index, word in enumerate(words):
        if word not in ("at", "@"):
            continue
        first, last = _name_before(words, index), _host_after(words, index)
        if first is not None and last is not None:
            if word == "at" and first == index - 1:
                first = _whole_name(words, first)
            if not _is_user(text, tokens[first].start()):
                found.append((tokens[first].start(), tokens[last].end()))
    return found


def _written(text: str) -> Iterator[tuple[int, int]]:
    """Yield the written addresses, looked for around each "@"."""
    at = text.find("@")
    while at >= 0:
        host = _HOST.match(text, at + 1)
        mailbox = None if host is None else _MAILBOX.search(text, max(0, at - _MAX_MAILBOX), at)
        if (
            host is not None
            and mailbox is not None
            and not (_is_user(text, mailbox.start()) or host[0].rpartition(".")[2].strip().isdigit())
        ):
            yield mailbox.start(), host.end()
        at = text.find("@", at + 1)


def _is_user(text: str, start: int) -> bool:
    """Whether it is the user of a URL."""
    return text[max(0, start - 2) : start] == "//"


def _name_before(words: list[str], at: int) -> int | None:
    """Return the first token of the mailbox: words with "dot" and the like between, or letters one by one."""
    index = at - 1
    if index < 0 or words[index] in _JOINS or words[index] in _NO_NAMES:
        return None
    while index > 0 and at - index < MAX_NAME:
        before = words[index - 1]
        if before in _JOINS and index > 1 and words[index - 2] not in _JOINS:
            index -= 2
        elif len(before) == 1 and before.isalnum() and len(words[index]) == 1:
            index -= 1
        else:
            break
    return index


def _whole_name(words: list[str], first: int) -> int:
    """Return the first token of a mailbox in plain words that begins the text, or stands behind "it's" and the like."""
    for index in range(first - 1, max(-1, first - MAX_PLAIN - 2), -1):
        if words[index] in _BEFORE_NAME:
            return index + 1
        if words[index] in _NO_NAMES or words[index] == _STOP:
            return first
        if index == 0 and words[0] not in _JOINS:
            return 0
    return first


def _host_after(words: list[str], at: int) -> int | None:
    """Return the last token of a host that ends in a domain that exists."""
    last = None
    for index in range(at + 1, min(len(words) - 1, at + MAX_HOST)):
        if words[index] in ("at", "@", _STOP):
            break
        if words[index] in _DOTS:
            if words[index + 1] in _TLDS:
                last = index + 1
        elif words[index] not in _JOINS and words[index + 1] not in _JOINS and last is not None:
            break
        elif words[index + 1] not in _JOINS and words[index] not in _JOINS and len(words[index]) > 1 and index - at > 2:
            # Words that nothing joins: this is a sentence, no host.
            break
    return last
