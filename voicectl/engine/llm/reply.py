"""Tell the words of a reply from the function call it makes. Knows no tokens and no samplers.

Words are passed on as they come, but for an end that may be the beginning of a call.
"""

import codecs

from voicectl.engine.llm.calls import CallSyntax
from voicectl.engine.messages import WireToolCall


class Reply:
    """The text of one reply so far. Only the first call counts; the reply ends with it."""

    def __init__(self, syntax: CallSyntax | None = None, *, call_start: str = "") -> None:
        """`syntax` is None where calls are not allowed; a reply that must be a call begins with `call_start`."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._syntax = syntax
        self._held = ""
        self._has_words = False
        self._call = call_start or None
        self.call: WireToolCall | None = None
        """The call, once it is complete."""

    @property
    def call_so_far(self) -> str | None:
        """Return the call as far as it is written; None while the reply is words."""
        return self._call

    def feed(self, piece: bytes) -> str:
        """Take the bytes of a token and return the words to pass on.

        A character split between tokens waits for its rest; an unfinished one at the end is dropped.
        """
        text = self._decoder.decode(piece)
        if self._syntax is None or not text:
            return text
        if self._call is not None:
            self._call += text
            self.call = self._syntax.read(self._call)
            return ""
        self._held += text
        return self._words(self._syntax)

    def rest(self) -> str:
        """Return the words held back, when the reply has ended without a call."""
        held, self._held = self._held, ""
        return held

    def _words(self, syntax: CallSyntax) -> str:
        marker = syntax.marker or "{"
        before, found, after = self._held.partition(marker)
        if found and (syntax.marker or not (self._has_words or before.strip())):
            self._begin_call(syntax, marker, after)
            return before.rstrip()
        num_held = 0 if not syntax.marker else partial_marker(self._held, marker)
        if not self._has_words and not self._held.strip():
            num_held = len(self._held)
        words = self._held[: len(self._held) - num_held]
        self._held = self._held[len(words) :]
        self._has_words = self._has_words or bool(words)
        return words

    def _begin_call(self, syntax: CallSyntax, marker: str, after: str) -> None:
        self._held = ""
        start = syntax.opener.partition(marker)[0] + marker
        # What the marker's own token brought beyond it counts if a call goes on that way, else it is noise.
        self._call = start + (after if syntax.opener.startswith(start + after) else "")


def partial_marker(text: str, marker: str) -> int:
    """Return how many characters at the end of `text` may be the beginning of `marker`."""
    longest = min(len(text), len(marker) - 1)
    return next((length for length in range(longest, 0, -1) if text.endswith(marker[:length])), 0)
