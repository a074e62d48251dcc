"""stdout is the result, stderr is for people, and a pipe gets plain lines."""

import io
import json
import subprocess
import sys

import pytest

from voicectl.cli.output import Output, PlainProgress, console


def test_result_is_text_or_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result({"a": 1}, lambda screen: screen.print("one"))
    assert capsys.readouterr().out == "one\n"
    Output(json=True).result({"a": "ö"}, lambda screen: screen.print("one"))
    captured = capsys.readouterr().out
    assert json.loads(captured) == {"a": "ö"}


@pytest.mark.parametrize("write", ["output.result({}, show)", "output.text('line\\n' * 100_000)"])
def test_command_whose_reader_has_left_ends_with_its_own_status(write: str) -> None:
    program = f"""
import sys
from voicectl.cli.output import Output
output = Output()
def show(console):
    for _ in range(100_000):
        console.print("line")
{write}
sys.exit(20)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"line\n"
        command.stdout.close()
        _, stderr = command.communicate(timeout=60)
    assert (command.returncode, stderr) == (20, b"")


def test_notes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).note("starting")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "starting\n")


def test_plain_progress_prints_every_tenth_once() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream)
    task = progress.add_task("model.bin", total=1000)
    for _ in range(1000):
        progress.advance(task)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "model.bin …"
    assert lines[1] == "model.bin 10 %"
    assert lines[-1] == "model.bin done"
    assert len(lines) == 11


def test_plain_progress_of_unknown_length_prints_its_start_only() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream)
    progress.advance(progress.add_task("something"), 5)
    assert stream.getvalue() == "something …\n"


def test_progress_off_a_terminal_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    with Output().progress() as reporter:
        reporter.update(reporter.add_task("a", total=2), completed=2)
    assert capsys.readouterr().err == "a …\na done\n"


def test_pipe_gets_no_escapes_and_no_forced_line_breaks() -> None:
    stream = io.StringIO()
    console(stream).print("[bold]" + "word " * 40)
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1
