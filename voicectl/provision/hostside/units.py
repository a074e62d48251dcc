"""The service manager: starts, stops and asks about units. Knows no release."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .faults import TaskFailed
from .layout import Layout
from .running import run_program

ASK_S: Final = 20.0
STOP_S: Final = 60.0
TAIL_LINES: Final = 12
MAX_TAIL_CHARACTERS: Final = 1500


@dataclass(frozen=True, slots=True)
class UnitState:
    """What the manager says of a unit; `pid` is None when no process runs."""

    active: str
    sub: str
    result: str
    pid: int | None
    since: str | None


class Units:
    """The units of one host."""

    def __init__(self, layout: Layout) -> None:
        self._systemctl = layout.tool("systemctl")
        self._journalctl = layout.tool("journalctl")
        self._processes = layout.root / "proc"
        self._releases = layout.releases

    def start(self, unit: str, timeout_s: float) -> str | None:
        """Start a unit and wait until it is ready; return why not, None if it is."""
        return self._to_ready("start", unit, timeout_s)

    def restart(self, unit: str, timeout_s: float) -> str | None:
        """Stop a unit, which lets it end its work, start it and wait until it is ready; return why not."""
        # Failures of earlier tries count against the limit of starts; these are new ones.
        self._run("reset-failed", unit, timeout_s=ASK_S)
        return self._to_ready("restart", unit, timeout_s)

    def stop(self, unit: str) -> None:
        """Stop a unit; kill it when it does not end."""
        if not self._run("stop", unit, timeout_s=STOP_S):
            self._run("kill", "--signal=SIGKILL", unit, timeout_s=ASK_S)
            self._run("stop", unit, timeout_s=ASK_S)
        self._run("reset-failed", unit, timeout_s=ASK_S)

    def reload(self) -> None:
        """Let the manager read changed units. Raises TaskFailed."""
        done = run_program([self._systemctl, "daemon-reload"], timeout_s=STOP_S)
        if not done.ok:
            raise TaskFailed(f"systemctl daemon-reload: {done.error}")

    def enable(self, unit: str) -> None:
        """Let a unit start with the host. Raises TaskFailed."""
        done = run_program([self._systemctl, "enable", "--quiet", unit], timeout_s=STOP_S)
        if not done.ok:
            raise TaskFailed(f"systemctl enable {unit}: {done.error}")

    def disable(self, unit: str) -> None:
        """Let a unit no longer start with the host."""
        self._run("disable", "--quiet", unit, timeout_s=STOP_S)

    def is_enabled(self, unit: str) -> bool:
        """Return whether a unit starts with the host."""
        return self._run("is-enabled", "--quiet", unit, timeout_s=ASK_S)

    def state(self, unit: str) -> UnitState:
        """Return what the manager knows of a unit."""
        names = "ActiveState,SubState,Result,MainPID,ActiveEnterTimestamp"
        done = run_program([self._systemctl, "show", f"--property={names}", unit], timeout_s=ASK_S)
        values = dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)
        pid = values.get("MainPID", "0")
        return UnitState(
            active=values.get("ActiveState", "unknown"),
            sub=values.get("SubState", "unknown"),
            result=values.get("Result", "unknown"),
            pid=int(pid) if pid.isdigit() and pid != "0" else None,
            since=values.get("ActiveEnterTimestamp") or None,
        )

    def running_release(self, unit: str) -> str | None:
        """Return the release whose libraries the unit's process has loaded; None when none can be told.

        The unit's own command line names the link, which says nothing of what was started through it.
        """
        pid = self.state(unit).pid
        if pid is None:
            return None
        try:
            maps = (self._processes / str(pid) / "maps").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        start = f"{self._releases}/"
        found = {line.partition(start)[2].partition("/")[0] for line in maps.splitlines() if start in line}
        return found.pop() if len(found) == 1 else None

    def _to_ready(self, verb: str, unit: str, timeout_s: float) -> str | None:
        began_at = time.time()
        done = run_program([self._systemctl, verb, unit], timeout_s=timeout_s)
        state = self.state(unit)
        if done.ok and state.active == "active":
            return None
        if done.code is None:
            return f"{unit} was not ready within {timeout_s:.0f} s{self._tail(unit, began_at)}"
        return f"{unit} did not start: {state.active}, {state.result}{self._tail(unit, began_at)}"

    def _tail(self, unit: str, since: float) -> str:
        arguments: list[str | Path] = [self._journalctl, "--unit", unit, "--lines", str(TAIL_LINES)]
        arguments += ["--since", f"@{since:.3f}"]
        done = run_program([*arguments, "--output=cat", "--no-pager", "--quiet"], timeout_s=ASK_S)
        text = done.out.strip()[-MAX_TAIL_CHARACTERS:]
        return f"; its last words:\n{text}" if done.ok and text else ""

    def _run(self, *arguments: str, timeout_s: float) -> bool:
        return run_program([self._systemctl, *arguments], timeout_s=timeout_s).ok
