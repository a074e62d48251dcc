"""What `voicectl bench run` shows while it runs, on stderr: two lines that redraw, or a plain line now and then."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from voicectl.cli.output import console, interactive

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from voicectl.bench.generator.progress import Progress

LINE_EVERY_S: Final = 10.0
REFRESHES_A_SECOND: Final = 4
_BAR_WIDTH: Final = 30


class PlainView:
    """Lines on stderr, one every ten seconds of the run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next_s = LINE_EVERY_S
        self._stopping = False

    def note(self, text: str) -> None:
        """Say something beside the run."""
        self._next_s = LINE_EVERY_S
        self._line(text)

    def show(self, progress: "Progress") -> None:
        """Tell how far the run is, if it is time for a line."""
        if progress.stopping and not self._stopping:
            self._line(STOPPING)
        self._stopping = progress.stopping
        if progress.elapsed_s >= self._next_s:
            self._next_s = LINE_EVERY_S * (1 + progress.elapsed_s // LINE_EVERY_S)
            self._line(f"{time_text(progress)}: {calls_text(progress)}; {latency_text(progress)}")

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class LiveView:
    """Two lines on the terminal: a bar with the time, and what is in progress."""

    def __init__(self, screen: "Console") -> None:
        self._screen = screen
        self._progress: Progress | None = None

    def note(self, text: str) -> None:
        """Say something above the lines."""
        self._progress = None
        self._screen.print(text, markup=False, highlight=False)

    def show(self, progress: "Progress") -> None:
        """Show how far the run is."""
        self._progress = progress

    def render(self) -> "RenderableType":
        """Return what the terminal shows now."""
        from rich.text import Text

        if self._progress is None:
            return Text("")
        progress = self._progress
        total_s = progress.elapsed_s + progress.remaining_s
        full = round(_BAR_WIDTH * progress.elapsed_s / total_s) if total_s > 0 else 0
        first = Text.assemble(
            ("━" * full, "cyan"),
            ("━" * (_BAR_WIDTH - full), "dim"),
            f"  {STOPPING if progress.stopping else time_text(progress)}",
        )
        second = Text(f"{calls_text(progress)}   {latency_text(progress)}")
        for line in (first, second):
            line.truncate(self._screen.width, overflow="ellipsis")
        return Text("\n").join([first, second])


STOPPING: Final = "stopping, calls hang up …  (Ctrl-C: at once)"


@contextmanager
def bench_view(stream: TextIO) -> Iterator[PlainView | LiveView]:
    """Show a run on `stream` for as long as the context lasts."""
    if not interactive(stream):
        yield PlainView(stream)
        return
    from rich.live import Live

    screen = console(stream)
    view = LiveView(screen)
    with Live(get_renderable=view.render, console=screen, refresh_per_second=REFRESHES_A_SECOND, transient=True):
        yield view


def time_text(progress: "Progress") -> str:
    """Return how long the run has gone on, and how long calls still begin."""
    if progress.remaining_s <= 0:
        return f"{_clock(progress.elapsed_s)}, the last calls end"
    return f"{_clock(progress.elapsed_s)}, {_clock(progress.remaining_s)} remain"


def calls_text(progress: "Progress") -> str:
    """Return how many calls are in progress and over, and how many turns they took."""
    failed = f", {progress.calls_failed} failed" if progress.calls_failed else ""
    turns = "1 turn" if progress.turns == 1 else f"{progress.turns} turns"
    return f"calls {progress.calls_live} live, {progress.calls_completed} done{failed}; {turns}"


def latency_text(progress: "Progress") -> str:
    """Return the median and the P95 of the latest latencies."""
    recent = progress.recent_v2v_s
    if not recent:
        return "no answer yet"
    p50, p95 = (1000 * nearest_rank(sorted(recent), share) for share in (0.5, 0.95))
    return f"v2v P50 {p50:.0f}, P95 {p95:.0f} ms"


def nearest_rank(ordered: Sequence[float], share: float) -> float:
    """Return a percentile of ordered values, by nearest rank."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02}"
