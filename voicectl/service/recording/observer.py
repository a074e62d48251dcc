"""Watches calls for their records. Does nothing but hand on what it saw: it runs between two frames of audio."""

from collections.abc import Callable
from typing import Final

from voicectl.core import events as ev
from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.ports import CallIdentity
from voicectl.service.recording.scribe import Began, Ended, Noted

WATCHED: Final = frozenset(
    (
        ev.SettingsChanged,
        ev.TranscriptFinal,
        ev.TranscriptFailed,
        ev.ItemAdded,
        ev.ItemTruncated,
        ev.ResponseStarted,
        ev.ResponseEnded,
        ev.ToolCalled,
        ev.EscalationRequested,
        ev.ServiceDegraded,
        ev.ActionRejected,
    )
)
"""What records are made of. Deltas and positions of audio are not."""
MAX_CALLS: Final = 10_000


TraceOf = Callable[[CallIdentity], str | None]
"""Returns the id of a call's trace, 32 hexadecimal digits; None for one that is not traced."""


class RecordingObserver:
    """A CallObserver that hands what it sees to `offer`, which must not wait.

    It is shown a call after whoever traces it, whom `trace_of` asks.
    """

    def __init__(self, offer: Callable[[Noted], None], *, clock: Clock | None = None) -> None:
        self.trace_of: TraceOf = lambda _call: None
        self._offer = offer
        self._clock = clock or MonotonicClock()
        self._began_at: dict[str, float] = {}

    def call_started(self, call: CallIdentity) -> None:
        """A call began."""
        self._began_at[call.session_id] = self._clock.now()
        if len(self._began_at) > MAX_CALLS:
            del self._began_at[next(iter(self._began_at))]
        self._offer(Noted(call, Began(self.trace_of(call)), 0.0))

    def call_event(self, call: CallIdentity, event: ev.CallEvent, at: float) -> None:
        """Something was told to the client."""
        if type(event) in WATCHED:
            self._offer(Noted(call, event, at))

    def call_ended(self, call: CallIdentity, reason: str) -> None:
        """A call is over."""
        now = self._clock.now()
        self._offer(Noted(call, Ended(reason), now - self._began_at.pop(call.session_id, now)))
