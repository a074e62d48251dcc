"""stdout is the result, stderr is for people, and a pipe gets plain lines."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("arguments", [["profile", "list"], ["profile", "list", "--json"], ["--version"]])
def test_stdout_that_takes_no_more_is_one_clear_error(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "voicectl", *arguments],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "error: stdout cannot be written: No space left on device"
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_opened_while_showing_is_not_blamed_on_stdout() -> None:
    with pytest.raises(FileNotFoundError):
        Output().result({}, lambda screen: screen.print(Path("/no/such/file").read_text()))


@pytest.mark.parametrize(("as_json", "shown"), [(False, "? 70 %\n"), (True, '{\n  "a": "\\u2265 70 %"\n}\n')])
def test_what_an_encoding_does_not_have_is_written_otherwise(as_json: bool, shown: str) -> None:
    program = f"""
from voicectl.cli.output import Output, take_any_text
take_any_text()
Output(json={as_json}).result({{"a": "≥ 70 %"}}, lambda console: console.print("≥ 70 %"))
"""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == (shown, "")


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
