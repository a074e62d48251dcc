"""Fixtures of the integration tests: the command line in this process."""

import logging
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess

import pytest

from voicectl.cli.main import main


@pytest.fixture
def command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., CompletedProcess[str]]]:
    """Return a function that runs `voicectl` here and returns what a process of its own would have.

    For command lines that end before anything starts: a process takes up to two seconds to load what they need.
    """
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def run(*arguments: str) -> CompletedProcess[str]:
        status = main(arguments)
        return CompletedProcess(arguments, status, *capsys.readouterr())

    yield run
    # A command sends its log to the stderr of its process, which here is the test's own.
    root.handlers = handlers
    root.setLevel(level)
