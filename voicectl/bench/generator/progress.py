"""How far a run is, for whoever watches it. Knows no process."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from voicectl.bench.generator.messages import CallBegan, CallOver, FromWorker, TurnOver
from voicectl.bench.run_record import CallSample

RECENT: Final = 500


@dataclass(frozen=True, slots=True)
class Progress:
    """A run so far. `remaining_s` counts to the last start of a call, 0 while the last calls end.

    `recent_v2v_s` are the latest latencies, at most 500, the oldest first. `stopping` is whether the run was
    told to end.
    """

    elapsed_s: float
    remaining_s: float
    calls_begun: int = 0
    calls_live: int = 0
    calls_completed: int = 0
    calls_failed: int = 0
    turns: int = 0
    answered: int = 0
    recent_v2v_s: tuple[float, ...] = ()
    stopping: bool = False


@dataclass(slots=True)
class Tally:
    """Counts what workers tell. `calls` are those that ended, `said` what the server said of itself."""

    duration_s: float
    epoch_at: float
    clock: Callable[[], float] = time.monotonic
    begun: set[int] = field(default_factory=set)
    calls: dict[int, CallSample] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    num_turns: int = 0
    num_answered: int = 0
    stopping: bool = False
    _completed: int = 0
    _recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))

    def note(self, message: FromWorker) -> None:
        """Take in a message."""
        match message:
            case CallBegan(call):
                self.begun.add(call)
            case TurnOver(_, turn):
                self.num_turns += 1
                if turn.v2v_s is not None:
                    self.num_answered += 1
                    self._recent.append(turn.v2v_s)
            case CallOver(sample, server):
                self.begun.add(sample.call)
                self.calls[sample.call] = sample
                self._completed += sample.end == "completed"
                self.said |= server

    def progress(self) -> Progress:
        """Return where the run is now."""
        elapsed_s = max(0.0, self.clock() - self.epoch_at)
        return Progress(
            elapsed_s=elapsed_s,
            remaining_s=max(0.0, self.duration_s - elapsed_s),
            calls_begun=len(self.begun),
            calls_live=len(self.begun) - len(self.calls),
            calls_completed=self._completed,
            calls_failed=len(self.calls) - self._completed,
            turns=self.num_turns,
            answered=self.num_answered,
            recent_v2v_s=tuple(self._recent),
            stopping=self.stopping,
        )
