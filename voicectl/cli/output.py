"""How a command speaks: one result on stdout, as JSON or for people; everything else on stderr."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from voicectl.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.core.errors import VoicectlError

PLAIN_STEPS: Final = 10
"""Lines that a plain progress report prints for one task."""


class ProgressReporter(Protocol):
    """Shows how far long work has come. The methods are those of `rich.progress.Progress`."""

    def add_task(self, description: str, *, total: float | None = None) -> Any:
        """Begin a task and return its id; `total` is in the task's own unit, None if unknown."""
        ...

    def advance(self, task_id: Any, advance: float = 1) -> None:
        """Report that `advance` more units are done."""
        ...

    def update(self, task_id: Any, *, total: float | None = None, completed: float | None = None) -> None:
        """Correct a task's total, or say how much of it is done in all."""
        ...


class PlainProgress:
    """Progress where nothing can be redrawn: a line when a task begins, every tenth of it, and its end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._tasks: list[_PlainTask] = []

    def add_task(self, description: str, *, total: float | None = None) -> int:
        """Begin a task and return its id."""
        self._tasks.append(_PlainTask(description, total))
        self._line(f"{description} …")
        return len(self._tasks) - 1

    def advance(self, task_id: int, advance: float = 1) -> None:
        """Report that `advance` more units are done."""
        self.update(task_id, completed=self._tasks[task_id].completed + advance)

    def update(self, task_id: int, *, total: float | None = None, completed: float | None = None) -> None:
        """Correct a task's total, or say how much of it is done in all."""
        task = self._tasks[task_id]
        if total is not None:
            task.total = total
        if completed is not None:
            task.completed = completed
        step = task.step()
        if step > task.shown:
            task.shown = step
            self._line(f"{task.description} {'done' if step == PLAIN_STEPS else f'{step * 100 // PLAIN_STEPS} %'}")

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


class _PlainTask:
    def __init__(self, description: str, total: float | None) -> None:
        self.description = description
        self.total = total
        self.completed = 0.0
        self.shown = 0

    def step(self) -> int:
        if not self.total:
            return 0
        return min(PLAIN_STEPS, int(PLAIN_STEPS * self.completed / self.total))


class Output:
    """Where one command writes. `json` asks for one JSON document on stdout instead of text."""

    def __init__(self, json: bool = False) -> None:
        self.json = json

    def result(self, document: Mapping[str, Any], render: "Callable[[Console], None]") -> None:
        """Write the command's result: `document` under --json, otherwise what `render` prints."""
        with though_unread():
            if self.json:
                write_json(document)
            else:
                render(console(sys.stdout))

    def text(self, text: str) -> None:
        """Write a result that is text already."""
        with though_unread():
            sys.stdout.write(text)

    def note(self, text: str) -> None:
        """Tell people something that is not the result."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    @contextmanager
    def progress(self, unit: str = "bytes") -> Iterator[ProgressReporter]:
        """Show progress on stderr: bars on a terminal, plain lines elsewhere. `unit` is bytes or items."""
        if not interactive(sys.stderr):
            yield PlainProgress(sys.stderr)
            return
        from rich import progress as bars

        columns: list[bars.ProgressColumn] = [bars.TextColumn("{task.description}"), bars.BarColumn(bar_width=24)]
        if unit == "bytes":
            columns += [bars.DownloadColumn(), bars.TransferSpeedColumn()]
        else:
            columns += [bars.MofNCompleteColumn(), bars.TimeElapsedColumn()]
        with bars.Progress(*columns, console=console(sys.stderr)) as reporter:
            yield reporter


def interactive(stream: TextIO) -> bool:
    """Tell whether text on `stream` can be redrawn in place."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def console(stream: TextIO) -> "Console":
    """Return a rich console on `stream`; NO_COLOR, the width of the terminal and pipes are respected."""
    from rich.console import Console

    class PatientConsole(Console):
        def on_broken_pipe(self) -> None:
            # Rich would end the program with 1, whatever the command found.
            raise BrokenPipeError from None

    return PatientConsole(file=stream, highlight=False, soft_wrap=not stream.isatty())


@contextmanager
def though_unread() -> Iterator[None]:
    """Let a command end with its own status when the reader of its output has left, as in `voicectl … | head`.

    Raises ConfigError where stdout takes no more for another reason, such as a full disk.
    """
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        forget_stdout()
    except OSError as error:
        if error.filename is not None:
            raise
        forget_stdout()
        raise ConfigError(
            f"stdout cannot be written: {error.strerror}", hint="make room, or send the output elsewhere"
        ) from error


def forget_stdout() -> None:
    """Let what is still written to stdout, by Python at its exit at the latest, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def take_any_text() -> None:
    """Let stdout write a question mark for what its encoding does not have, rather than end the program."""
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and (out.errors == "strict" or not _is_unicode(out)):
        out.reconfigure(errors="replace")


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def write_json(document: Mapping[str, Any]) -> None:
    """Write one JSON document to stdout; what its encoding does not have is escaped."""
    sys.stdout.write(json.dumps(document, ensure_ascii=not _is_unicode(sys.stdout), indent=2) + "\n")
    sys.stdout.flush()


def report_error(error: "VoicectlError", *, as_json: bool) -> None:
    """Tell people what failed and the next step; under --json also write it as the document."""
    if as_json:
        failure = {
            "type": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_code": error.exit_code,
        }
        with though_unread():
            write_json({"error": failure})
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"hint:  {error.hint}\n")
    sys.stderr.flush()
