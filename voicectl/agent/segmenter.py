"""Cut a reply, as it is written, into clauses to speak: the first one early, then whole sentences."""

import re

_SENTENCE_END = re.compile(r"[.!?…]+[\"')\]]*\s+|\n+")
_CLAUSE_END = re.compile(r"[.!?…,;:–—]+[\"')\]]*\s+|\n+")
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|vs|etc|e\.g|i\.e)|\b[A-Z])\.\s+$")
_LONGEST_CLAUSE_WORDS = 30
_LONGEST_FIRST_CLAUSE_WORDS = 5
_SHORTEST_PHRASE_WORDS = 3
_LINKING_WORDS = {
    *("and", "or", "but", "so", "because", "if", "when", "while", "than", "as", "that", "which", "who", "whose"),
    *("to", "for", "with", "without", "from", "in", "on", "at", "of", "by"),
    *("is", "are", "was", "were", "the", "a", "an"),
}
"""Words that begin a phrase: a voice may draw breath before them, not after them."""


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
            num_words = len(clause.split())
            if self._first and num_words > _LONGEST_FIRST_CLAUSE_WORDS:
                break
            if num_words >= words_needed and not _ABBREVIATION.search(clause):
                return match.end()
        return self._cut_at_length()

    def _cut_at_length(self) -> int | None:
        """Return a cut in text without punctuation, so that it is not held back for long."""
        words = list(re.finditer(r"\S+\s+", self._buffer))
        longest = _LONGEST_FIRST_CLAUSE_WORDS if self._first else _LONGEST_CLAUSE_WORDS
        if len(words) <= longest:
            return None
        for index in range(longest, _SHORTEST_PHRASE_WORDS - 1, -1):
            links = words[index].group().strip().casefold() in _LINKING_WORDS
            if links and words[index - 1].group().strip().casefold() not in _LINKING_WORDS:
                return words[index].start()
        return words[longest - 1].end()
