"""Go on with a text behind what was said of an earlier writing of it. Knows no replies, only text."""

import re
from typing import Final, Literal

_SENTENCE_END: Final = re.compile(r"[.!?…]+[\"')\]]*(?=\s)|\n+")

OnDifference = Literal["next_sentence", "restart"]


class Continuation:
    """Feed it a text as it is written again, take what was not said yet.

    As long as the new text agrees with `said`, nothing comes out; what follows behind it does. If it
    differs, either as many sentences of it are left out as were begun ("next_sentence"), or all of it
    comes out ("restart").
    """

    def __init__(self, said: str, on_difference: OnDifference) -> None:
        self._said = said.strip()
        self._on_difference = on_difference
        self._written = ""
        self._sentences_to_skip: int | None = None
        self._passing = not self._said

    def push(self, text: str, *, last: bool = False) -> str:
        """Take more of the new text and return what is to be said of it; `last` if no more will come."""
        if self._passing:
            return text
        self._written += text
        if self._sentences_to_skip is None:
            fresh = self._compare()
            if fresh is not None:
                return fresh
        if self._sentences_to_skip is None:
            # The new text ends within what was said: nothing is left to say.
            return ""
        return self._skip(last=last)

    def _compare(self) -> str | None:
        """Return the text behind what was said; None if it is not reached, or never will be."""
        written = self._written.lstrip()
        if written.startswith(self._said):
            self._passing = True
            return written[len(self._said) :]
        if self._said.startswith(written):
            return None
        if self._on_difference == "restart":
            self._passing = True
            return self._written
        ended = len(_SENTENCE_END.findall(self._said + " "))
        in_the_middle = _SENTENCE_END.sub("", self._said + " ").strip() and not _ends_a_sentence(self._said)
        self._sentences_to_skip = ended + (1 if in_the_middle else 0)
        return None

    def _skip(self, *, last: bool) -> str:
        ends = list(_SENTENCE_END.finditer(self._written + (" " if last else "")))
        skip = self._sentences_to_skip or 0
        if len(ends) < skip:
            return ""
        rest = (self._written[ends[skip - 1].end() :] if skip else self._written).lstrip()
        self._passing = bool(rest)
        return f" {rest}" if rest else ""


def _ends_a_sentence(text: str) -> bool:
    return bool(re.search(r"[.!?…][\"')\]]*$", text))
