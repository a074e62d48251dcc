"""How a run ended: a row and a document a host, and never a word of success for a host that has failed."""

import io
from typing import Any

import pytest
from rich.console import Console

from voicectl.cli.run_result import print_run, run_document, run_error
from voicectl.provision.events import Phase
from voicectl.provision.failure import Failure
from voicectl.provision.progress import HostProgress
from voicectl.provision.runs import RunResult

PHASE = Phase("gate and activate", 6)


def host(name: str, code: int = 0, *, changed: int = 0) -> HostProgress:
    failure = Failure(name, "why", "what next", code, PHASE, "Do it") if code else None
    state: Any = "failed" if code else "done"
    return HostProgress(name, state, PHASE, changed_tasks=["x"] * changed, failure=failure)


def result(*hosts: HostProgress, interrupted: bool = False) -> RunResult:
    return RunResult("r1", {host.host: host for host in hosts}, {}, 12.3, interrupted)


def printed(run: RunResult, *, check: bool = False) -> str:
    stream = io.StringIO()
    print_run(Console(file=stream, width=80), "install", run, check=check)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("entry", "check", "words"),
    [
        (host("a", changed=3), False, "installed"),
        (host("a"), False, "unchanged"),
        (host("a", changed=3), True, "would change"),
        (host("a"), True, "would stay as it is"),
        (host("a", 6), False, "failed in phase 6 (gate and activate)"),
        (host("a", 9), False, "rolled back by itself in phase 6 (gate and activate)"),
        (host("a", 10), False, "rollback failed in phase 6 (gate and activate)"),
    ],
)
def test_row_says_how_a_host_ended(entry: HostProgress, check: bool, words: str) -> None:
    assert words in printed(result(entry), check=check)


def test_exit_code_and_error_are_those_of_the_worst_host() -> None:
    run = result(host("a"), host("b", 6), host("c", 9))
    error = run_error(run)
    assert run.exit_code == 9
    assert error is not None
    assert error.exit_code == 9
    document = run_document("install", run)
    assert document["error"]["exit_code"] == 9
    assert [entry["exit_code"] for entry in document["hosts"].values()] == [0, 6, 9]


def test_run_that_was_stopped_is_neither_done_nor_failed() -> None:
    run = result(host("a", 6), interrupted=True)
    assert run.exit_code == 130
    assert run_document("install", run)["error"]["exit_code"] == 130
    assert "stopped in phase 6" in printed(run)


def test_run_that_went_well_has_no_error() -> None:
    document = run_document("install", result(host("a", changed=2)), release="1-ab")
    assert document["error"] is None
    assert (document["release"], document["hosts"]["a"]["changed"], document["seconds"]) == ("1-ab", 2, 12.3)
