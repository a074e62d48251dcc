"""Write a digest as Markdown. What callers said is written so that it stays text."""

import re
from collections.abc import Iterator
from typing import Final

from voicectl.governance.report.digest import Digest, Table

_MARKS: Final = re.compile(r"([\\`*_{}\[\]<>#|~])")


def markdown(digest: Digest) -> str:
    """Return the whole digest."""
    return "\n".join(_lines(digest)) + "\n"


def plain(text: str) -> str:
    """Return a text in which nothing means anything to Markdown or HTML, on one line."""
    return _MARKS.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;")


def _lines(digest: Digest) -> Iterator[str]:
    yield f"# {plain(digest.title)}"
    yield ""
    yield f"{plain(digest.subtitle)}. For the {digest.owner_name}."
    for note in digest.notes:
        yield ""
        yield f"> {plain(note)}"
    yield ""
    if digest.escalated:
        yield "**To be passed on to the Voice AI owner:**"
        yield ""
        yield from (f"- {plain(text)}" for text in digest.escalated)
    else:
        yield plain(digest.standing)
    for section in digest.sections:
        yield ""
        yield f"## {plain(section.title)}"
        yield ""
        yield f"*For the {section.owner_name}.*"
        for paragraph in section.paragraphs:
            yield ""
            yield plain(paragraph)
        for table in section.tables:
            yield ""
            yield from _table(table)


def _table(table: Table) -> Iterator[str]:
    yield _row(table.columns)
    yield _row(tuple("---" for _ in table.columns))
    for row in table.rows:
        yield _row(tuple(plain(cell) for cell in row))


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
