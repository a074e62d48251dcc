"""Failures become exit codes and two lines; nothing heavy is loaded for `--help`."""

import json
import subprocess
import sys

import pytest
import typer

from voicectl import __version__
from voicectl.cli import main as program
from voicectl.core.errors import ArtifactMissing


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--version"]) == 0
    assert capsys.readouterr().out == f"voicectl {__version__}\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in program.COMMANDS)


@pytest.mark.parametrize("name", list(program.COMMANDS))
def test_every_command_has_help_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example:" in shown or "COMMAND" in shown


@pytest.mark.parametrize("arguments", [("--help",), ("plan", "--help"), ("bench", "run", "--help")])
def test_help_names_no_value_for_flags(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(arguments) == 0
    shown = capsys.readouterr().out
    assert "--help" in shown
    assert "bool" not in shown.lower()


def test_command_line_without_a_command_shows_help_and_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main([]) == 2
    assert capsys.readouterr().out.count("Usage: voicectl") == 1


def test_mistyped_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["tlk"]) == 2
    captured = capsys.readouterr()
    assert "Did you mean 'talk'?" in captured.err
    assert captured.out == ""


def test_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["profile", "list", "--jsn"]) == 2
    assert "error: No such option: --jsn" in capsys.readouterr().err


def test_refusal_has_its_exit_code_a_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["profile", "show", "cpuu"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: no profile is called 'cpuu'")
    assert captured.err.endswith("hint:  did you mean cpu?\n")


def test_refusal_under_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["profile", "show", "cpuu", "--json"]) == 3
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "ConfigError"
    assert error["exit_code"] == 3
    assert error["hint"] == "did you mean cpu?"


def test_usage_error_under_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["say", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 2


def failing(error: BaseException) -> int:
    """Run a command line whose only command raises `error`."""
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise error

    return program.main([], app)


@pytest.mark.parametrize(
    ("error", "status"), [(ArtifactMissing("no model.bin"), 5), (KeyboardInterrupt(), 130), (RuntimeError("x"), 1)]
)
def test_exception_becomes_an_exit_code(capsys: pytest.CaptureFixture[str], error: BaseException, status: int) -> None:
    assert failing(error) == status
    shown = capsys.readouterr().err
    assert ("Traceback" in shown) == (status == 1)
    assert ("this is a bug of ours" in shown) == (status == 1)


def test_help_loads_neither_models_nor_arrays() -> None:
    code = (
        "import sys\nfrom voicectl.cli.main import main\nmain(['--help'])\n"
        "heavy = {'numpy', 'pydantic', 'httpx', 'ctranslate2', 'onnxruntime', 'websockets'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
