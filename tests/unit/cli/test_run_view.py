"""A run in plain lines: phases, failures, signs of life; nothing twice, nothing on every event."""

import io

from voicectl.cli.output import console
from voicectl.cli.run_view import LiveView, PlainView
from voicectl.provision.checks import Finding
from voicectl.provision.events import Phase, PlayEvent
from voicectl.provision.hosts import parse_host
from voicectl.provision.journal import Unfinished
from voicectl.provision.preflight import HostReport
from voicectl.provision.progress import Progress


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def plain() -> tuple[PlainView, io.StringIO, Clock]:
    stream, clock = io.StringIO(), Clock()
    return PlainView(stream, clock), stream, clock


def test_each_phase_and_each_failure_is_one_line() -> None:
    view, stream, _ = plain()
    progress = Progress.of(["a", "b"])
    for event in (
        PlayEvent("phase_began", phase=Phase("look", 1)),
        PlayEvent("task_began", host="a", task="Copy"),
        PlayEvent("task_ended", host="a", task="Copy"),
        PlayEvent("task_failed", host="b", task="Copy", result={"msg": "it is full"}),
        PlayEvent("phase_began", phase=Phase("place", 2)),
    ):
        progress.apply(event, 0.0)
        view.advanced(progress)
    assert stream.getvalue().splitlines() == ["phase 1: look", "b: failed: Copy", "phase 2: place"]


def test_long_task_gives_a_sign_of_life_and_a_short_one_does_not() -> None:
    view, stream, clock = plain()
    progress = Progress.of(["a"])
    progress.apply(PlayEvent("task_began", host="a", task="Copy the weights"), 0.0)
    clock.now = 5.0
    view.ticked(progress)
    assert stream.getvalue() == ""
    clock.now = 20.0
    view.ticked(progress)
    clock.now = 21.0
    view.ticked(progress)
    assert stream.getvalue() == "a: still at “Copy the weights”, 20 s\n"


def test_bytes_are_told_at_begin_and_end_and_no_more_than_every_second() -> None:
    view, stream, clock = plain()
    for step in range(101):
        clock.now = step / 50
        view.working("verifying the bundle", step, 100)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "verifying the bundle …"
    assert lines[-1] == "verifying the bundle: done"
    assert len(lines) <= 4


def test_warnings_are_told_and_what_is_fine_is_not() -> None:
    view, stream, _ = plain()
    findings = (Finding("clock", "warn", "70 s off"), Finding("cpu", "ok", "fine"), Finding("port", "fail", "taken"))
    view.looked([HostReport("a", findings)])
    assert stream.getvalue() == "a: warning: clock: 70 s off\n"


def test_run_that_goes_on_says_so() -> None:
    view, stream, _ = plain()
    view.resuming("10.0.0.5", Unfinished("r1", "install", "2026-11-26T17:33:55.123+00:00", "copy the weights"))
    assert stream.getvalue() == (
        "10.0.0.5: the install of 2026-11-26T17:33 UTC did not get through in “copy the weights”; going on\n"
    )


def test_table_on_a_terminal_fits_into_80_columns_whatever_names_are_long() -> None:
    screen = console(io.StringIO())
    screen.width = 80
    clock = Clock()
    view = LiveView(screen, clock)
    host = parse_host("a-very-long-name-of-a-host.in-a-long-domain.example.org")
    progress = Progress.of([host.name])
    progress.apply(PlayEvent("phase_began", phase=Phase("prepare the host for everything", 2)), 0.0)
    progress.apply(PlayEvent("task_began", host=host.name, task="Install packages " * 9), 0.0)
    clock.now = 12.0
    view.looking([host])
    view.advanced(progress)
    with screen.capture() as captured:
        screen.print(view.render())
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert "12 s" in lines[-1]
    assert "2 prepare" in lines[-1]
