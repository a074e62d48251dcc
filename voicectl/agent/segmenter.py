"""Cut a reply, as it is written, into clauses to speak: the first one early, then whole sentences."""

import re

_SENTENCE_END = re.compile(r"[.!?…]+[\"')\]]*\s+|\n+")
_CLAUSE_END = re.compile(r"[.!?…,;:–—]+[\"')\]]*\s+|\n+")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e)|\b[A-Z])\.\s+$")
_LONGEST_CLAUSE_WORDS = 30


class Segmenter:
    """Feed it text, take clauses. The clauses, joined, are the text."""

    def __init__(self, first_clause_words: int) -> None:
        self._first_clause_words = first_clause_words
        self._buffer = ""
        self._first = True

    def push(self, text: str) -> list[str]:
        """Add text and return the clauses that are complete now."""
        self._buffer += text
        clauses = []
        while (cut := self._cut()) is not None:
            clauses.append(self._buffer[:cut])
            self._buffer = self._buffer[cut:]
            self._first = False
        return clauses

    def flush(self) -> list[str]:
        """Return what is left, as one clause, if it has anything to say."""
        rest, self._buffer = self._buffer, ""
        return [rest] if rest.strip() else []

    def _cut(self) -> int | None:
        """Return where the next clause ends, None if that is not known yet."""
        pattern = _CLAUSE_END if self._first else _SENTENCE_END
        words_needed = self._first_clause_words if self._first else 1
        for match in pattern.finditer(self._buffer):
            clause = self._buffer[: match.end()]
            if len(clause.split()) >= words_needed and not _ABBREVIATION.search(clause):
                return match.end()
        return self._cut_at_length()

    def _cut_at_length(self) -> int | None:
        """Return a cut in text without punctuation, so that it is not held back for ever."""
        words = list(re.finditer(r"\S+\s+", self._buffer))
        if len(words) < _LONGEST_CLAUSE_WORDS:
            return None
        return words[_LONGEST_CLAUSE_WORDS - 1].end()
