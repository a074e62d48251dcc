"""Why a call ended before its time: one kind a cause, and words beside it. Knows no socket."""

from typing import Literal

from voicectl.bench.run_record import CallEnd

FailureKind = Literal[
    "no-connection",
    "no-handshake",
    "http-refusal",
    "tls",
    "session-refused",
    "no-session",
    "closed",
    "reset",
    "not-reading",
    "beta-protocol",
    "malformed-event",
    "stopped",
    "limit",
]
"""The first word of `CallSample.failure`, which reads "KIND: words".

no-connection: nobody listens, or the name does not resolve. no-handshake: the connection stood, the WebSocket
never did. http-refusal: another answer than 101. session-refused: an `error` instead of `session.updated`;
no-session: neither in time. closed: a close frame; reset: an end without one. not-reading: what is sent piles up.
beta-protocol: events under their names of before GA. malformed-event: what is no event, or contradicts itself.
stopped: ended by the bench, in the middle. limit: not begun, too many calls were in progress already.
"""


class CallFailed(Exception):
    """A call that ends here; `end` is how the record calls it."""

    def __init__(self, kind: FailureKind, words: str, end: CallEnd) -> None:
        super().__init__(f"{kind}: {words}")
        self.kind = kind
        self.end = end


def refused(kind: FailureKind, words: str) -> CallFailed:
    """Return the failure of a call that never stood."""
    return CallFailed(kind, words, "refused")


def lost(kind: FailureKind, words: str) -> CallFailed:
    """Return the failure of a call that stood."""
    return CallFailed(kind, words, "lost")


def unfinished(kind: FailureKind, words: str) -> CallFailed:
    """Return the failure of a call that the bench itself did not let end."""
    return CallFailed(kind, words, "unfinished")
