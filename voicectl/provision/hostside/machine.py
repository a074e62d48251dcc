"""The way from one release to another, and back: which step follows which. Pure; knows no link and no service.

    gate ─► switch ─► restart ─► prove ─► good
      │        └─────────┴─────────┴────► back ─► revive ─► reprove ─► as before
      └► refused

The phase is written down before its step is taken, so that whoever finds it knows what may have happened.
"""

from dataclasses import dataclass, replace
from typing import Final

from .state import Attempt, Kind, Outcome, Phase, Release, Result, State, Status

FIRST: Final[dict[Kind, Phase]] = {"activate": "gate", "restart": "gate", "rollback": "switch"}
"""A rollback goes to a release that has already served: its gate is behind the switch alone, which saves time."""
AHEAD: Final[dict[Phase, Phase]] = {
    "gate": "switch",
    "switch": "restart",
    "restart": "prove",
    "back": "revive",
    "revive": "reprove",
}
INTERRUPTED: Final = "it was interrupted"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a step went; `reason` says why it failed, None if it did not."""

    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the step did what it should."""
        return self.reason is None


def begin(state: State, kind: Kind, target: str, now: str) -> State:
    """Return the state with a change begun; nothing else may be in progress."""
    return replace(state, attempt=Attempt(kind, target, state.active, FIRST[kind], now))


def advance(state: State, verdict: Verdict, now: str) -> State:
    """Return the state behind the step of the attempt's phase: at the next phase, or with the attempt ended.

    A failed step back leaves the attempt where it is, so that the next run or the next boot tries again.
    """
    return _onward(state, now) if verdict.reason is None else _failed(state, verdict.reason, now)


def _onward(state: State, now: str) -> State:
    attempt = _attempt(state)
    if attempt.phase == "prove":
        return _good(state, now)
    if attempt.phase == "reprove" or _is_back(attempt):
        return _ended(state, _way_back(attempt), now, attempt.reason)
    return replace(state, attempt=replace(attempt, phase=AHEAD[attempt.phase]))


def _is_back(attempt: Attempt) -> bool:
    """Tell whether nothing is left to do behind this step: the service runs what it should, or nothing."""
    if attempt.phase == "back":
        return not attempt.revive
    return attempt.phase == "revive" and attempt.origin is None


def _failed(state: State, reason: str, now: str) -> State:
    attempt = _attempt(state)
    match attempt.phase:
        case "gate":
            return _ended(state, "refused", now, reason)
        case "switch" | "restart" | "prove":
            # While the link was not moved, the service was not touched.
            revive = attempt.phase != "switch"
            return replace(state, attempt=replace(attempt, phase="back", reason=reason, revive=revive))
        case "back":
            return replace(state, last=_outcome(attempt, "stranded", now, f"{attempt.reason}; then: {reason}"))
        case "revive" | "reprove":
            return _ended(state, "stranded", now, f"{attempt.reason}; then: {reason}")


def interrupted(state: State, now: str, *, at_boot: bool, running: str | None) -> State:
    """Return the state from which an attempt whose program died goes on: always the way back.

    At boot the service starts behind this program, so that putting the link right is all that is needed. Otherwise it
    is restarted, unless no step but the switch was begun and `running` says that it still is the release of before.
    """
    attempt = _attempt(state)
    if attempt.phase == "gate":
        return _ended(state, "interrupted", now, INTERRUPTED)
    reason = attempt.reason or INTERRUPTED
    untouched = attempt.phase == "switch" and running is not None and running == attempt.origin
    revive = not at_boot and not untouched
    return replace(state, attempt=replace(attempt, phase="back", reason=reason, revive=revive))


def _way_back(attempt: Attempt) -> Result:
    return "interrupted" if attempt.reason == INTERRUPTED else "returned"


def _attempt(state: State) -> Attempt:
    if state.attempt is None:
        raise ValueError("no change is in progress")
    return state.attempt


def _outcome(attempt: Attempt, result: Result, now: str, reason: str | None) -> Outcome:
    return Outcome(attempt.kind, attempt.target, attempt.origin, result, attempt.began_at, now, reason)


def _ended(state: State, result: Result, now: str, reason: str | None) -> State:
    attempt = _attempt(state)
    state = replace(state, attempt=None, last=_outcome(attempt, result, now, reason))
    release = state.releases.get(attempt.target)
    # What was interrupted was not judged.
    if release is None or result == "interrupted" or attempt.reason == INTERRUPTED:
        return state
    # What has served before stays good: it may be all that is left to go back to.
    status: Status = "failed" if release.good_at is None else release.status
    return state.with_release(replace(release, status=status, failed_at=now, reason=reason))


def _good(state: State, now: str) -> State:
    attempt = _attempt(state)
    state = replace(
        state,
        active=attempt.target,
        previous=state.previous if attempt.origin == attempt.target else attempt.origin,
        attempt=None,
        last=_outcome(attempt, "good", now, None),
    )
    state = state.with_release(_served(state.releases[attempt.target], now))
    origin = None if attempt.origin is None else state.releases.get(attempt.origin)
    if attempt.kind == "rollback" and origin is not None:
        return state.with_release(replace(origin, left_at=now))
    return state


def _served(release: Release, now: str) -> Release:
    return replace(release, status="good", good_at=now, failed_at=None, left_at=None, reason=None)
