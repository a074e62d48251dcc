"""What people see of a call, at 80 columns."""

import io

import numpy as np
from rich.console import Console

from voicectl.bench.turns import STAGES, TurnReport
from voicectl.cli.meter import Meter, level_db
from voicectl.cli.talk_view import TalkView, print_latency, print_turn


def report(v2v_ms: float | None = 412.0, **changes: object) -> TurnReport:
    stages = dict.fromkeys(STAGES, None if v2v_ms is None else v2v_ms / len(STAGES))
    values: dict[str, object] = {
        "heard": "What is the capital of France?",
        "reply": "The capital of France is Paris.",
        "v2v_ms": v2v_ms,
        "eou_to_first_audio_ms": None,
        "stages_ms": stages,
        "unexplained_ms": None if v2v_ms is None else 0.4,
        "overlapped_ms": {},
        "interrupted": False,
        "cut_in": False,
        "answered": v2v_ms is not None,
    }
    return TurnReport(**{**values, **changes})  # type: ignore[arg-type]


def shown(*reports: TurnReport) -> list[str]:
    stream = io.StringIO()
    console = Console(file=stream, width=80, highlight=False)
    for each in reports:
        print_turn(console, each)
    print_latency(console, reports)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_one_turn_is_shown_with_bars_and_fits() -> None:
    lines = shown(report())
    assert lines[0] == "you    What is the capital of France?"
    assert lines[1] == "agent  The capital of France is Paris."
    assert lines[2] == "       answered after 412 ms"
    assert any(line.startswith(" voice to voice   412") for line in lines)
    assert max(map(len, lines)) <= 80
    assert "█" in "".join(lines)


def test_several_turns_are_shown_as_median_and_worst() -> None:
    lines = shown(report(400.0), report(600.0), report(None))
    (total,) = [line for line in lines if "voice to voice" in line]
    assert total.split()[3:5] == ["500", "600"]


def test_turn_without_an_answer_says_so_and_needs_no_table() -> None:
    assert shown(report(None, heard="", reply="")) == ["you    (no words heard)", "agent  (no answer)"]


def test_words_are_never_read_as_markup() -> None:
    assert shown(report(None, heard="[bold]x[/nope]"))[0] == "you    [bold]x[/nope]"


def test_cut_in_and_interruption_are_named() -> None:
    assert "cut in before the last word, interrupted" in shown(report(cut_in=True, interrupted=True))[2]


def test_live_line_follows_both_sides() -> None:
    stream = io.StringIO()
    view = TalkView(Console(file=stream, width=80, force_terminal=True), live=True)
    view.start()
    view.event({"type": "conversation.item.input_audio_transcription.delta", "delta": "what is"})
    view.event({"type": "response.created"})
    view.event({"type": "response.output_audio_transcript.delta", "delta": "It is"})
    view.audio(np.full(480, 0.5, dtype=np.float32))
    view.stop()
    assert "It is" in stream.getvalue()


def test_meter_rises_with_the_level() -> None:
    meter = Meter(width=3)
    for level in (0.0, 0.01, 1.0):
        meter.add(np.full(100, level, dtype=np.float32))
    quiet, middle, loud = meter.bar()
    assert quiet == " "
    assert loud == "█"
    assert quiet < middle < loud
    assert level_db(np.zeros(0, dtype=np.float32)) == -60
