"""How a run over hosts is shown while it goes on: a table that redraws on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from voicectl.cli.output import console, interactive
from voicectl.provision.preflight import HostReport

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from voicectl.provision.hosts import Host
    from voicectl.provision.journal import Unfinished
    from voicectl.provision.progress import HostProgress, Progress

STILL_EVERY_S: Final = 15.0
REFRESHES_A_SECOND: Final = 4
_STATES: Final = {"waiting": "waits", "running": "", "done": "done", "failed": "failed", "unreachable": "unreachable"}


class PlainView:
    """Lines on stderr: each phase when it begins, each host that fails, and a sign of life in long tasks."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._work: str | None = None
        self._tenth = 0
        self._phase: object = None
        self._told: set[str] = set()
        self._last_line_at = clock()

    def working(self, what: str, done: int, total: int) -> None:
        """Say every tenth of `what`; small things are told once."""
        if what != self._work:
            self._work, self._tenth = what, 0
            self.line(f"{what} …")
        tenth = 10 * done // max(total, 1)
        if tenth > self._tenth and (self._clock() - self._last_line_at > 1 or tenth == 10):
            self._tenth = tenth
            self.line(f"{what}: {'done' if tenth == 10 else f'{tenth * 10} %'}")

    def resuming(self, address: str, run: "Unfinished") -> None:
        """Say that an earlier run goes on."""
        self.line(_resuming_text(address, run))

    def looking(self, hosts: "Sequence[Host]") -> None:
        """Say which hosts are being looked at."""
        self.line(f"looking at {', '.join(host.name for host in hosts)} …")

    def looked(self, reports: Sequence[HostReport]) -> None:
        """Tell warnings; what forbids to go on is the error that follows."""
        for report in reports:
            for finding in report.findings:
                if finding.level == "warn":
                    self.line(f"{report.host}: warning: {finding.name}: {finding.detail}")

    def advanced(self, progress: "Progress") -> None:
        """Tell a new phase, and hosts that came to their end."""
        for host in progress.hosts.values():
            if host.failure is not None and host.host not in self._told:
                self._told.add(host.host)
                self.line(f"{host.host}: {host.state}: {host.failure.task or host.failure.message}")
        if progress.phase is not None and progress.phase is not self._phase:
            self._phase = progress.phase
            self.line(_phase_text(progress))

    def ticked(self, progress: "Progress") -> None:
        """Give a sign of life when nothing was said for a while."""
        now = self._clock()
        if now - self._last_line_at < STILL_EVERY_S:
            return
        for host in progress.hosts.values():
            if host.state == "running" and host.task_began_at is not None and now - host.task_began_at >= STILL_EVERY_S:
                self.line(f"{host.host}: still at “{host.task}”, {now - host.task_began_at:.0f} s")

    def interrupted(self) -> None:
        """Say that the wish to stop was heard."""
        self.line("stopping …  (once more: at once)")

    def line(self, text: str) -> None:
        """Write one line."""
        self._last_line_at = self._clock()
        self._stream.write(text + "\n")
        self._stream.flush()


class QuietRun:
    """Nothing of a run that only looks, but the wish to stop."""

    def __init__(self, view: "PlainView | LiveView") -> None:
        self._view = view

    def advanced(self, progress: "Progress") -> None:
        """Say nothing."""

    def ticked(self, progress: "Progress") -> None:
        """Say nothing."""

    def interrupted(self) -> None:
        """Say that the wish to stop was heard."""
        self._view.interrupted()


class LiveView:
    """A table on the terminal: each host with its phase, its task and the time the task takes."""

    def __init__(self, screen: "Console", clock: Callable[[], float] = time.monotonic) -> None:
        self._screen = screen
        self._clock = clock
        self._work: tuple[str, int, int] | None = None
        self._progress: Progress | None = None
        self._is_stopping = False

    def working(self, what: str, done: int, total: int) -> None:
        """Show how far `what` is."""
        self._work = (what, done, total) if done < total else None

    def resuming(self, address: str, run: "Unfinished") -> None:
        """Say that an earlier run goes on."""
        self._screen.print(_resuming_text(address, run), markup=False, highlight=False)

    def looking(self, hosts: "Sequence[Host]") -> None:
        """Show that hosts are being looked at."""
        self._work = (f"looking at {len(hosts)} host{'s' if len(hosts) > 1 else ''}", 0, 0)

    def looked(self, reports: Sequence[HostReport]) -> None:
        """Tell warnings above the table."""
        self._work = None
        for report in reports:
            for finding in report.findings:
                if finding.level == "warn":
                    text = f"{report.host}: warning: {finding.name}: {finding.detail}"
                    self._screen.print(text, markup=False, highlight=False)

    def advanced(self, progress: "Progress") -> None:
        """Show what happened."""
        self._work = None
        self._progress = progress

    def ticked(self, progress: "Progress") -> None:
        """Show the time that passes."""
        self._progress = progress

    def interrupted(self) -> None:
        """Show that the wish to stop was heard."""
        self._is_stopping = True

    def render(self) -> "RenderableType":
        """Return what the terminal shows now."""
        from rich.console import Group
        from rich.text import Text

        parts: list[RenderableType] = []
        if self._work is not None:
            what, done, total = self._work
            parts.append(Text(f"{what} … {f'{100 * done // total} %' if total else ''}"))
        if self._progress is not None:
            parts.append(self._table(self._progress))
        if self._is_stopping:
            parts.append(Text("stopping …  (Ctrl-C once more: at once)"))
        return Group(*parts)

    def _table(self, progress: "Progress") -> "RenderableType":
        from rich.table import Table

        table = Table(box=None, pad_edge=False, expand=True)
        table.add_column("host", no_wrap=True, max_width=24, overflow="ellipsis")
        table.add_column("phase", no_wrap=True, ratio=2, overflow="ellipsis")
        table.add_column("task", no_wrap=True, ratio=3, overflow="ellipsis")
        table.add_column("time", justify="right", no_wrap=True, width=6)
        for host in progress.hosts.values():
            table.add_row(*_row(host, self._clock()))
        return table


@contextmanager
def run_view(stream: TextIO) -> Iterator[PlainView | LiveView]:
    """Show a run on `stream` for as long as the context lasts."""
    if not interactive(stream):
        yield PlainView(stream)
        return
    from rich.live import Live

    screen = console(stream)
    view = LiveView(screen)
    with Live(
        get_renderable=view.render, console=screen, refresh_per_second=REFRESHES_A_SECOND, transient=True, screen=False
    ):
        yield view


def _resuming_text(address: str, run: "Unfinished") -> str:
    where = f" in “{run.phase}”" if run.phase else ""
    return f"{address}: the {run.command} of {run.began_at[:16]} UTC did not get through{where}; going on"


def _phase_text(progress: "Progress") -> str:
    phase = progress.phase
    if phase is None:
        return ""
    return f"phase {phase.number}: {phase.name}" if phase.number is not None else phase.name


def _row(host: "HostProgress", now: float) -> tuple[str, str, str, str]:
    phase = "" if host.phase is None else f"{host.phase.number or '-'} {host.phase.name}"
    seconds = "" if host.task_began_at is None or host.state != "running" else f"{now - host.task_began_at:.0f} s"
    return host.host, phase, _STATES[host.state] or host.task or "", seconds
