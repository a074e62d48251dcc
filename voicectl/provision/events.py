"""Events of a play, typed: what happened on which host in which phase. Knows Ansible's words, decides nothing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

EventKind = Literal["phase_began", "task_began", "task_ended", "task_failed", "host_unreachable", "play_ended"]

_KINDS: Final[dict[str, EventKind]] = {
    "playbook_on_play_start": "phase_began",
    "runner_on_start": "task_began",
    "runner_on_ok": "task_ended",
    "runner_on_skipped": "task_ended",
    "runner_on_failed": "task_failed",
    "runner_on_unreachable": "host_unreachable",
    "playbook_on_stats": "play_ended",
}
_PHASE: Final = re.compile(r"phase (\d+)\s*:\s*(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a run; `number` is None for plays that are none of the numbered ones."""

    name: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class PlayEvent:
    """One event. `result` is the module's answer, without what `no_log` hides."""

    kind: EventKind
    host: str | None = None
    phase: Phase | None = None
    task: str | None = None
    changed: bool = False
    skipped: bool = False
    ignored: bool = False
    result: Mapping[str, Any] = field(default_factory=dict)
    stats: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def parse_event(raw: Mapping[str, Any]) -> PlayEvent | None:
    """Return the event that a raw one of the runner stands for; None when nobody needs it."""
    kind = _KINDS.get(str(raw.get("event")))
    if kind is None:
        return None
    about = raw.get("event_data") or {}
    if kind == "phase_began":
        return PlayEvent(kind, phase=parse_phase(str(about.get("name") or about.get("play") or "")))
    if kind == "play_ended":
        return PlayEvent(kind, stats={key: value for key, value in about.items() if isinstance(value, dict)})
    result = about.get("res")
    result = result if isinstance(result, dict) else {}
    return PlayEvent(
        kind,
        host=about.get("host"),
        task=about.get("task"),
        changed=bool(result.get("changed")) and kind == "task_ended",
        skipped=raw.get("event") == "runner_on_skipped",
        ignored=bool(about.get("ignore_errors")),
        result=result,
    )


def parse_phase(play: str) -> Phase:
    """Return the phase that a play's name tells: `phase 4: place the release`."""
    matched = _PHASE.fullmatch(play.strip())
    return Phase(matched[2].strip() or play, int(matched[1])) if matched else Phase(play.strip() or "unnamed")


def command_of(result: Mapping[str, Any]) -> str:
    """Return the command line of a result, empty when it was no command."""
    command = result.get("cmd", "")
    return " ".join(map(str, command)) if isinstance(command, list) else str(command)
