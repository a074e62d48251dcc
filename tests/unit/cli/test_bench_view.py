"""A run in progress: calls, turns, latencies and time; in plain lines no more than one every ten seconds."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from voicectl.bench.generator.progress import Progress
from voicectl.cli.bench_view import LiveView, PlainView, bench_view, nearest_rank

RUNNING = Progress(
    elapsed_s=12.4,
    remaining_s=47.6,
    calls_begun=8,
    calls_live=3,
    calls_completed=4,
    calls_failed=1,
    turns=18,
    answered=17,
    recent_v2v_s=(0.5, 0.4, 0.9, 0.6),
)


def shown(progress: Progress, width: int = 80) -> list[str]:
    screen = Console(file=io.StringIO(), width=width)
    view = LiveView(screen)
    view.show(progress)
    with screen.capture() as capture:
        screen.print(view.render())
    return capture.get().splitlines()


def test_terminal_shows_time_calls_turns_and_latencies_in_80_columns() -> None:
    first, second = shown(RUNNING)
    assert first.endswith("  0:12, 0:47 remain")
    assert second == "calls 3 live, 4 done, 1 failed; 18 turns   v2v P50 500, P95 900 ms"
    assert max(map(len, shown(replace(RUNNING, stopping=True)))) <= 80
    assert max(map(len, shown(RUNNING, width=40))) <= 40


def test_end_and_stop_are_told() -> None:
    assert "the last calls end" in shown(replace(RUNNING, remaining_s=0.0))[0]
    assert "stopping, calls hang up …  (Ctrl-C: at once)" in shown(replace(RUNNING, stopping=True))[0]


def test_run_without_an_answer_has_no_figure() -> None:
    assert shown(replace(RUNNING, recent_v2v_s=(), calls_failed=0))[1] == (
        "calls 3 live, 4 done; 18 turns   no answer yet"
    )


def test_plain_lines_come_every_ten_seconds() -> None:
    stream = io.StringIO()
    view = PlainView(stream)
    for quarter in range(100):
        view.show(replace(RUNNING, elapsed_s=quarter / 4, remaining_s=60 - quarter / 4))
    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == ["0:10", "0:20"]
    assert lines[0] == ("0:10, 0:50 remain: calls 3 live, 4 done, 1 failed; 18 turns; v2v P50 500, P95 900 ms")


def test_next_run_of_a_search_begins_its_lines_anew() -> None:
    stream = io.StringIO()
    view = PlainView(stream)
    view.show(replace(RUNNING, elapsed_s=55.0))
    view.note("level 2: 12 calls a minute")
    view.show(replace(RUNNING, elapsed_s=10.0))
    assert [line.split(",")[0] for line in stream.getvalue().splitlines()] == [
        "0:55",
        "level 2: 12 calls a minute",
        "0:10",
    ]


def test_stop_is_told_once() -> None:
    stream = io.StringIO()
    view = PlainView(stream)
    for _ in range(3):
        view.show(replace(RUNNING, elapsed_s=1.0, stopping=True))
    assert stream.getvalue().count("stopping") == 1


def test_stream_that_is_no_terminal_gets_plain_lines() -> None:
    with bench_view(io.StringIO()) as view:
        assert isinstance(view, PlainView)


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.95, 10), (0.9, 9), (0.01, 1)])
def test_percentile_is_a_value_that_was_seen(share: float, value: float) -> None:
    assert nearest_rank(range(1, 11), share) == value
