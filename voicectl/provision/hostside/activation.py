"""Carry an attempt to its end: take the step its phase names, then write down the next, until there is none."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from .faults import ReleaseError
from .gate import Gate, GateReport
from .machine import Verdict, advance
from .placing import Placing
from .settings import UNIT
from .state import Attempt, State
from .telling import tell
from .units import Units

STEP_WORDS: Final = {
    "gate": "golden call to {target} beside the service",
    "switch": "switch to {target}",
    "restart": "restart of the service",
    "prove": "golden call to the service",
    "back": "switch back to {origin}",
    "revive": "restart of the service as it was",
    "reprove": "golden call to the service as it was",
}


@dataclass(frozen=True, slots=True)
class StepTaken:
    """How a step went, with what was measured on the way."""

    verdict: Verdict
    figures: Mapping[str, Any] = field(default_factory=dict)


class Actor(Protocol):
    """Takes steps."""

    def take(self, attempt: Attempt) -> StepTaken:
        """Take the step of an attempt's phase. May be called again for a step that was cut off."""
        ...


class Memory(Protocol):
    """Keeps the state; what `Records` does."""

    def save(self, state: State) -> None:
        """Return when the state is on disk."""
        ...

    def note(self, event: str, **values: Any) -> None:
        """Add an event to the journal."""
        ...


class Hands:
    """Takes the steps on this host."""

    def __init__(self, placing: Placing, units: Units, gate: Gate) -> None:
        self._placing = placing
        self._units = units
        self._gate = gate

    def take(self, attempt: Attempt) -> StepTaken:
        """Take one step; whatever fails becomes its verdict, because the way back must go on."""
        try:
            return self._take(attempt)
        except (ReleaseError, OSError) as error:
            return StepTaken(Verdict(str(error) or type(error).__name__))

    def _take(self, attempt: Attempt) -> StepTaken:
        match attempt.phase:
            case "gate":
                return _taken(self._gate.candidate(attempt.target))
            case "switch":
                self._placing.place(attempt.target)
            case "restart":
                return StepTaken(Verdict(self._gate.restart()))
            case "prove":
                return _taken(self._gate.serving(attempt.target))
            case "back":
                self._gate.clear()
                self._placing.put_back(attempt.origin)
            case "revive" if attempt.origin is None:
                self._units.stop(UNIT)
            case "revive":
                return StepTaken(Verdict(self._gate.restart()))
            case "reprove":
                return _taken(self._gate.serving(attempt.origin or attempt.target))
        return StepTaken(Verdict())


Steps = list[dict[str, Any]]
"""What was done, step by step, with what was measured."""


def drive(state: State, memory: Memory, actor: Actor, now: "Clock") -> tuple[State, Steps]:
    """Take an attempt from the phase it is in to its end; return the state then, and the steps.

    An attempt that is still there could not be taken back: the next run, or the next boot, tries again.
    """
    steps: Steps = []
    memory.save(state)
    while (attempt := state.attempt) is not None:
        began_at = time.monotonic()
        tell(STEP_WORDS[attempt.phase].format(target=attempt.target, origin=attempt.origin) + " …")
        step = actor.take(attempt)
        state = advance(state, step.verdict, now())
        memory.save(state)
        took_s = round(time.monotonic() - began_at, 2)
        steps.append({"phase": attempt.phase, "took_s": took_s, "reason": step.verdict.reason, **step.figures})
        memory.note("step_taken", kind=attempt.kind, target=attempt.target, **steps[-1])
        if state.attempt == attempt:
            break
    return state, steps


class Clock(Protocol):
    """Tells this instant as text."""

    def __call__(self) -> str: ...


def _taken(report: GateReport) -> StepTaken:
    return StepTaken(Verdict(report.reason), report.figures)
