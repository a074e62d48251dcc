"""How a run over hosts ended, for people and as a document: a row a host, the failures, and the next step."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import typer

from voicectl.cli.output import Output, report_error
from voicectl.core.errors import VoicectlError
from voicectl.provision.errors import worst
from voicectl.provision.failure import RESUME_HINT
from voicectl.provision.runs import EXIT_INTERRUPTED, RunResult

if TYPE_CHECKING:
    from rich.console import Console

    from voicectl.provision.failure import Failure
    from voicectl.provision.progress import HostProgress

DONE_WORDS: Final = {
    "install": "installed",
    "upgrade": "upgraded",
    "rollback": "rolled back",
    "uninstall": "removed",
}
_FAILED_WORDS: Final = {9: "rolled back by itself", 10: "rollback failed", 8: "reboot needed"}
_ACTIVATING: Final = "activate"
_INTERRUPTED: Final = {
    "type": "Interrupted",
    "message": "stopped before its end",
    "hint": RESUME_HINT,
    "exit_code": EXIT_INTERRUPTED,
}


def run_document(command: str, result: RunResult, **more: Any) -> dict[str, Any]:
    """Return the document of a run; `more` goes on top."""
    error = run_error(result)
    told = None if error is None else error_document(error)
    return {
        "command": command,
        "run_id": result.run_id,
        **more,
        "hosts": {name: host_document(host) for name, host in result.hosts.items()},
        "seconds": round(result.seconds, 1),
        "interrupted": result.interrupted,
        "error": _INTERRUPTED if result.interrupted else told,
    }


def host_document(host: "HostProgress") -> dict[str, Any]:
    """Return the document of one host."""
    failure = host.failure
    return {
        "outcome": host.state,
        "phase": host.phase.name if host.phase else None,
        "phase_number": host.phase.number if host.phase else None,
        "ok": host.num_ok,
        "changed": host.num_changed,
        "changed_tasks": list(host.changed_tasks),
        "failed": int(failure is not None),
        "exit_code": failure.exit_code if failure else 0,
        "error": None
        if failure is None
        else {**error_document(failure.as_error()), "task": failure.task, "log": list(failure.log)},
    }


def error_document(error: VoicectlError) -> dict[str, Any]:
    """Return the document of an error, as every command writes it."""
    return {
        "type": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


def run_error(result: RunResult) -> VoicectlError | None:
    """Return the failure that tells most, None when all hosts are done."""
    failures = [host.failure for host in result.hosts.values() if host.failure is not None]
    if not failures:
        return None
    code = worst([failure.exit_code for failure in failures])
    return next(failure for failure in failures if failure.exit_code == code).as_error()


def print_run(console: "Console", command: str, result: RunResult, *, check: bool = False) -> None:
    """Print a row for each host."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("host", no_wrap=True, max_width=28, overflow="ellipsis")
    table.add_column("result", overflow="fold")
    table.add_column("changed", justify="right", no_wrap=True)
    for name, host in result.hosts.items():
        outcome = _outcome(command, host, check=check, stopped=result.interrupted)
        table.add_row(name, outcome, str(host.num_changed))
    console.print(table)
    console.print(f"{result.seconds:.0f} s")


def tell_failures(result: RunResult) -> None:
    """Tell each failure on stderr: where, why, the end of the task's log, and the next step."""
    for host in result.hosts.values():
        if host.failure is not None and not result.interrupted:
            _tell_log(host.failure)
            report_error(host.failure.as_error(), as_json=False)


def tell_interruption(output: Output, command: str, result: RunResult) -> None:
    """Say what each host is like now that the run was stopped."""
    for name, host in result.hosts.items():
        phase = host.phase
        where = f"stopped in phase {phase.number} ({phase.name})" if phase and phase.number else "stopped"
        if phase is not None and _ACTIVATING in phase.name:
            state = f"its own program brings the change to an end, or back; see voicectl status {name}"
        else:
            state = "it serves what it served before"
        output.note(f"{name}: {where}; {state}")
    output.note(f"run voicectl {command} again to go on")


def end_with(result: RunResult) -> None:
    """End the command with the exit code of a run."""
    code = EXIT_INTERRUPTED if result.interrupted else result.exit_code
    if code:
        raise typer.Exit(code)


def refuse(output: Output, error: VoicectlError, document: Mapping[str, Any]) -> None:
    """End a command that changed nothing: the error for people, the document with it for programs."""
    if output.json:
        from voicectl.cli.output import write_json

        write_json({**document, "error": error_document(error)})
    report_error(error, as_json=False)
    sys.stderr.flush()
    raise typer.Exit(error.exit_code)


def _outcome(command: str, host: "HostProgress", *, check: bool, stopped: bool) -> str:
    if host.failure is not None:
        phase = f" in phase {host.phase.number} ({host.phase.name})" if host.phase and host.phase.number else ""
        return f"{'stopped' if stopped else _FAILED_WORDS.get(host.failure.exit_code, host.state)}{phase}"
    if check:
        return "would change" if host.num_changed else "would stay as it is"
    return DONE_WORDS.get(command, "done") if host.num_changed else "unchanged"


def _tell_log(failure: "Failure") -> None:
    lines: Sequence[str] = failure.log
    if len(lines) > 1 or (lines and lines[0] not in failure.message):
        sys.stderr.write(f"{failure.host}: what “{failure.task or 'the task'}” wrote last:\n")
        sys.stderr.write("".join(f"  | {line}\n" for line in lines))
