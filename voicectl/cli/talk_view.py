"""What `voicectl talk` shows: the transcript, a live line while somebody speaks, and the latency table."""

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from voicectl.bench.call_record import ServerEvent
from voicectl.bench.turns import STAGES, TurnReport
from voicectl.cli.meter import Meter
from voicectl.core.audio import Samples

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

MEANING: Final = {
    "vad": "end of speech, as detected",
    "endpointing": "pause that ended the turn",
    "stt": "words still to transcribe",
    "llm": "first clause still to generate",
    "tts": "first sound still to synthesise",
    "playout": "handing the sound to the wire",
    "transport": "network, both ways",
    "lead_in": "silence before the first sound",
}
_BAR_WIDTH: Final = 20


class TalkView:
    """Prints turns as they end; on a terminal, one line shows what is being said."""

    def __init__(self, console: "Console", *, live: bool) -> None:
        self._console = console
        self._meter = Meter()
        self._line = ""
        self._who = "you"
        self._live: Live | None = None
        if live:
            from rich.live import Live as LiveDisplay

            self._live = LiveDisplay("", console=console, transient=True, refresh_per_second=12)

    def start(self) -> None:
        """Show the live line from now on."""
        if self._live is not None:
            self._live.start()

    def stop(self) -> None:
        """Remove the live line."""
        if self._live is not None:
            self._live.stop()

    def event(self, event: ServerEvent) -> None:
        """Follow the conversation."""
        match event.get("type"):
            case "input_audio_buffer.speech_started":
                self._say("you", "")
            case "conversation.item.input_audio_transcription.delta":
                self._say("you", (self._line if self._who == "you" else "") + str(event.get("delta", "")))
            case "conversation.item.input_audio_transcription.completed":
                self._say("you", str(event.get("transcript", "")))
            case "response.created":
                self._say("agent", "")
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                self._say("agent", self._line + str(event.get("delta", "")))

    def audio(self, samples: Samples) -> None:
        """Show the level of sound, of either side."""
        self._meter.add(samples)
        self._redraw()

    def turn(self, report: TurnReport) -> None:
        """Print a turn that has ended."""
        self._say("you", "")
        print_turn(self._console, report)

    def _say(self, who: str, text: str) -> None:
        self._who, self._line = who, text
        self._redraw()

    def _redraw(self) -> None:
        if self._live is not None:
            self._live.update(_speech(self._who, self._line or "…", "dim", suffix=f"  {self._meter.bar()}"))


def print_turn(console: "Console", report: TurnReport) -> None:
    """Print what was heard and answered, and how long the answer took."""
    console.print(_speech("you", report.heard or "(no words heard)", "" if report.heard else "dim"))
    if not report.answered:
        console.print(_speech("agent", "(no answer)", "dim"))
    else:
        console.print(_speech("agent", report.reply or "(no words)", "cyan"))
    notes = _notes(report)
    if notes:
        console.print(_speech("", notes, "dim"))


def print_latency(console: "Console", reports: Sequence[TurnReport]) -> None:
    """Print where the time went: each stage of one turn, or median and worst of several."""
    measured = [report for report in reports if report.v2v_ms is not None]
    if not measured:
        return
    console.print()
    console.print(_stage_table(measured))


def _stage_table(measured: Sequence[TurnReport]) -> "Table":
    from rich import box
    from rich.table import Table

    several = len(measured) > 1
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage")
    table.add_column("median" if several else "ms", justify="right")
    table.add_column("worst" if several else "", justify="right" if several else "left")
    table.add_column("milliseconds" if several else "", style="dim")
    totals = [report.v2v_ms for report in measured if report.v2v_ms is not None]
    started, whole = 0.0, statistics.median(totals)
    for stage in STAGES:
        values = [value for report in measured if (value := report.stages_ms[stage]) is not None]
        middle = statistics.median(values) if values else None
        table.add_row(
            stage.replace("_", "-"),
            _number(middle),
            _worst(values) if several else _bar(started, middle, whole),
            MEANING[stage],
        )
        started += middle or 0.0
    table.add_section()
    rests = [report.unexplained_ms for report in measured if report.unexplained_ms is not None]
    for name, values, meaning in (
        ("voice to voice", totals, "your last sound to its first"),
        ("unexplained", rests, "not covered by the stages"),
    ):
        middle = statistics.median(values) if values else None
        table.add_row(name, _number(middle), _worst(values) if several else "", meaning)
    return table


def _worst(values: Sequence[float]) -> str:
    return _number(max(values, key=abs) if values else None)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


def _bar(start: float, length: float | None, total: float) -> str:
    if length is None or total <= 0:
        return ""
    first = max(0, round(_BAR_WIDTH * start / total))
    blocks = max(0, round(_BAR_WIDTH * (start + length) / total) - first)
    return (" " * first + "█" * blocks)[:_BAR_WIDTH]


def _speech(who: str, text: str, style: str, suffix: str = "") -> "Table":
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=5, style="bold")
    grid.add_column(overflow="fold")
    words: Text = Text(text, style=style)
    words.append(suffix, style="green")
    grid.add_row(who, words)
    return grid


def _notes(report: TurnReport) -> str:
    notes = []
    if report.v2v_ms is not None:
        notes.append(f"answered after {report.v2v_ms:.0f} ms")
    if report.cut_in:
        notes.append("cut in before the last word")
    if report.interrupted:
        notes.append("interrupted")
    return ", ".join(notes)
