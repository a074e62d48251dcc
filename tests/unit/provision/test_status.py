"""What hosts tell of themselves becomes a word and an exit code."""

import json
from typing import Any

import pytest

from voicectl.provision.events import PlayEvent
from voicectl.provision.failure import Failure
from voicectl.provision.progress import HostProgress
from voicectl.provision.status import read_status

SERVING = {"release": "1-ab", "state": "good", "service": "active", "ready": True, "drift": []}


def told(document: object) -> list[PlayEvent]:
    stdout = document if isinstance(document, str) else json.dumps(document)
    command = "/usr/bin/python3 -I /opt/voicectl/lib/release.pyz status"
    return [PlayEvent("task_ended", host="a", result={"cmd": command, "stdout": stdout})]


@pytest.mark.parametrize(
    ("change", "word", "code"),
    [
        ({}, "serving", 0),
        ({"drift": ["/etc/voicectl/host.yaml: edited"]}, "drifted", 12),
        ({"service": "failed"}, "stopped", 6),
        ({"service": "failed", "drift": ["x: y"]}, "stopped", 6),
        ({"release": None}, "not installed", 3),
        ({"attempt": {"phase": "gate"}, "locked_by": "4711"}, "changing", 0),
        ({"attempt": {"phase": "gate"}, "locked_by": None}, "changing", 6),
        ({"error": {"message": "state lost", "hint": "restore it"}}, "unknown", 6),
    ],
)
def test_document_becomes_a_word_and_an_exit_code(change: dict[str, Any], word: str, code: int) -> None:
    status = read_status(HostProgress("a", state="done"), told({**SERVING, **change}))
    assert (status.word, status.exit_code) == (word, code)


def test_drift_is_listed() -> None:
    status = read_status(HostProgress("a"), told({**SERVING, "drift": ["/opt/x: altered"]}))
    assert status.drift == ("/opt/x: altered",)


def test_host_without_the_program_has_nothing_installed() -> None:
    other = PlayEvent("task_ended", host="a", result={"cmd": "ls", "stdout": "{}"})
    assert read_status(HostProgress("a", state="done"), [other]).word == "not installed"


def test_unreachable_host_is_told_as_such() -> None:
    failure = Failure("a", "cannot be reached", "check it", 7)
    status = read_status(HostProgress("a", state="unreachable", failure=failure), [])
    assert (status.word, status.exit_code) == ("unreachable", 7)


def test_answer_that_is_no_document_counts_as_none() -> None:
    assert read_status(HostProgress("a", state="done"), told("Traceback …")).told is None
