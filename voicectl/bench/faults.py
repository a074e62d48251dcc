"""What a killed process did to live calls: which turns waited for it, how long, and which went unanswered. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voicectl.bench.load import CallOutcome, TurnOutcome


@dataclass(frozen=True, slots=True)
class Kill:
    """A process was killed at `at` and was back, ready to work, at `ready_at`; both on the monotonic clock."""

    name: str
    pid: int
    at: float
    ready_at: float | None


@dataclass(frozen=True, slots=True)
class Impact:
    """What one kill did to one call.

    `waited_s` is how long the caller waited for the next answer: from the kill, or from the end of his
    words if that was later, to the first audible sample. `unanswered` counts his turns before that answer
    which got none. None means that no answer came at all.
    """

    kill: Kill
    call: int
    waited_s: float | None
    unanswered: int


def impacts(kills: Sequence[Kill], outcomes: Sequence[CallOutcome]) -> list[Impact]:
    """Return what each kill did to each call; calls that had no turn left to take are left out.

    A turn counts for the last kill before its answer only where the next kill came later than its words.
    """
    found = []
    for kill in kills:
        for outcome in outcomes:
            impact = _impact(kill, outcome.call, outcome.turns)
            if impact is not None:
                found.append(impact)
    return found


def _impact(kill: Kill, call: int, turns: Iterable[TurnOutcome]) -> Impact | None:
    unanswered = 0
    waited_any = False
    for turn in turns:
        report = turn.report
        if report.last_voiced_at is None:
            continue
        answered_at = report.first_audible_at
        if answered_at is not None and answered_at < kill.at:
            continue
        if answered_at is None and report.last_voiced_at < kill.at - 1.0:
            # Had its chance before the kill, and what became of it says nothing of this one.
            continue
        waited_any = True
        if answered_at is not None:
            return Impact(kill, call, answered_at - max(kill.at, report.last_voiced_at), unanswered)
        unanswered += 1
    return Impact(kill, call, None, unanswered) if waited_any else None
