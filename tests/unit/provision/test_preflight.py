"""What came back from hosts becomes reports; everything that is wrong anywhere is one error."""

import json
from typing import Any

import pytest

from voicectl.provision.errors import HostUnreachable, PreflightRefused
from voicectl.provision.events import PlayEvent
from voicectl.provision.failure import Failure
from voicectl.provision.needs import EARLIEST_CLOCK, Needs
from voicectl.provision.preflight import HostReport, judge, preflight_error, read_look

NOW = EARLIEST_CLOCK + 10
DOCUMENT = {
    "schema": 1,
    "python": "3.11.2",
    "euid": 0,
    "clock": {"now": NOW},
    "system": {"id": "debian"},
}


def look(kind: Any, **result: Any) -> Any:
    return read_look(PlayEvent(kind, host="a", task="Collect facts", result=result), NOW)


def test_facts_are_read_behind_a_greeting_of_the_login_shell() -> None:
    seen = look("task_ended", stdout="Welcome to a!\n" + json.dumps(DOCUMENT))
    assert seen.facts is not None
    assert seen.facts.system.id == "debian"
    assert seen.facts.memory.total_bytes is None


@pytest.mark.parametrize("stdout", ["", "Segmentation fault", '{"schema": 1}', '{"schema": 1, "python": 3}'])
def test_answer_that_is_no_document_is_a_refusal(stdout: str) -> None:
    seen = look("task_ended", stdout=stdout)
    assert seen.failure is not None
    assert seen.failure.exit_code == 3


def test_host_without_python_is_not_fit_and_not_unreachable() -> None:
    seen = look("task_failed", rc=127, msg="non-zero return code", stderr="/bin/sh: 1: /usr/bin/python3: not found")
    assert seen.failure is not None
    assert seen.failure.exit_code == 3
    assert "has no /usr/bin/python3" in seen.failure.message
    assert "apt-get install" in seen.failure.hint


def test_host_without_sudo_is_not_fit() -> None:
    seen = look("task_failed", msg="Missing sudo password")
    assert seen.failure is not None
    assert seen.failure.exit_code == 3


def test_unreachable_host_stays_unreachable() -> None:
    seen = look("host_unreachable", msg="Failed to connect to the host via ssh: ssh: connect: No route to host")
    assert seen.failure is not None
    assert seen.failure.exit_code == 7
    assert judge(seen, Needs()).exit_code == 7


def report(host: str, *, fails: bool = False, failure: Failure | None = None) -> HostReport:
    seen = look("task_ended", stdout=json.dumps(DOCUMENT))
    findings = judge(seen, Needs()).findings if fails else ()
    return HostReport(host, findings, failure)


def test_fit_hosts_are_no_error() -> None:
    assert preflight_error([report("a"), report("b")]) is None


def test_error_lists_every_refusal_of_every_host_with_its_fix() -> None:
    gone = Failure("c", "cannot be reached", "switch it on", 7)
    error = preflight_error([report("a", fails=True), report("b"), report("c", failure=gone)])
    assert isinstance(error, HostUnreachable)
    assert error.message.startswith("2 of 3 hosts: not ready, nothing was changed")
    for words in ("a: system:", "a: systemd:", "a: cpu:", "c: cannot be reached", "fix: switch it on"):
        assert words in error.message
    assert error.message.count("fix: ") == len(report("a", fails=True).refusals) + 1


def test_refusals_alone_are_a_refusal() -> None:
    error = preflight_error([report("a", fails=True)])
    assert isinstance(error, PreflightRefused)
    assert error.exit_code == 3
    assert error.message.startswith("a: not ready")
