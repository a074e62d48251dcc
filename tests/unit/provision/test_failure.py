"""A failed task is told with its cause, its next step, and the exit code of its kind."""

import json
from typing import Any

import pytest

from voicectl.core.errors import IntegrityError, LockedError
from voicectl.provision.errors import ActivationRolledBack, HostTaskFailed, HostUnreachable, RollbackFailed
from voicectl.provision.events import Phase, PlayEvent
from voicectl.provision.failure import RESUME_HINT, Failure, read_failure

PHASE = Phase("place the release", 4)
PROGRAM = "/usr/bin/python3 -I /opt/voicectl/lib/release.pyz"


def failed(**result: Any) -> Failure:
    return read_failure(PlayEvent("task_failed", host="gw1", task="Do it", result=result), PHASE)


def unreachable(message: str) -> Failure:
    return read_failure(PlayEvent("host_unreachable", host="gw1", result={"msg": message}), None)


def test_message_of_a_module_is_the_cause_and_its_hint_the_next_step() -> None:
    failure = failed(msg="the disk is full\nhint: free 2 GB\n  below /opt")
    assert (failure.message, failure.hint, failure.exit_code) == ("the disk is full", "free 2 GB below /opt", 6)


def test_command_without_a_message_is_told_by_its_last_line() -> None:
    failure = failed(msg="non-zero return code", rc=1, stderr="one\ntwo\n", stdout="out", cmd="x")
    assert failure.message == "two"
    assert failure.log == ("out", "one", "two")
    assert failure.hint == RESUME_HINT


def test_command_that_says_nothing_is_told_by_its_status() -> None:
    assert failed(msg="non-zero return code", rc=137, cmd="x").message == "ended with status 137"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(9, ActivationRolledBack), (10, RollbackFailed), (11, LockedError), (4, IntegrityError), (6, HostTaskFailed)],
)
def test_exit_code_of_the_release_program_is_passed_through(status: int, kind: type[Exception]) -> None:
    told = json.dumps({"error": {"message": "it answers garbage", "hint": "look at its journal"}})
    failure = failed(cmd=[*PROGRAM.split(), "activate", "1"], rc=status, stdout=told, msg="non-zero return code")
    assert failure.exit_code == status
    assert type(failure.as_error()) is kind
    assert (failure.message, failure.hint) == ("it answers garbage", "look at its journal")
    assert failure.log == ()


def test_status_of_any_other_program_is_a_failed_task() -> None:
    assert failed(cmd="apt-get install x", rc=9, msg="non-zero return code").exit_code == 6


def test_unknown_status_of_the_release_program_is_a_failed_task() -> None:
    assert failed(cmd=f"{PROGRAM} gate", rc=-9, msg="non-zero return code", stdout="").exit_code == 6


def test_loop_is_told_by_the_item_that_failed() -> None:
    items = [{"failed": False, "msg": "fine"}, {"failed": True, "msg": "no such unit"}]
    assert failed(msg="One or more items failed", results=items).message == "no such unit"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "Failed to connect to the host via ssh: ssh: connect to host x port 22: Connection refused",
            "Connection refused",
        ),
        ("Failed to connect to the host via ssh: root@x: Permission denied (publickey).", "refuses our key"),
        ("Failed to connect to the host via ssh: Host key verification failed.", "host key is not the known one"),
        (
            "Failed to connect to the host via ssh: ssh: Could not resolve hostname x: Name or service not known",
            "name cannot be resolved",
        ),
    ],
)
def test_host_that_cannot_be_reached_is_told_by_why(message: str, words: str) -> None:
    failure = unreachable(message)
    assert words in failure.message
    assert failure.exit_code == HostUnreachable.exit_code
    assert failure.hint
    assert "Failed to connect" not in failure.message


def test_login_without_root_is_a_refusal_and_no_failed_task() -> None:
    failure = failed(msg="Missing sudo password")
    assert failure.exit_code == 3
    assert "--become-password-file" in failure.hint


def test_module_that_speaks_of_a_password_is_a_failed_task() -> None:
    assert failed(cmd="x", rc=1, msg="a password is required for the database").exit_code == 6


def test_secrets_are_taken_out_of_message_and_log() -> None:
    failure = failed(msg="token=abcdefgh", stdout="Authorization: Bearer abcdefghijklmnop", rc=1, cmd="x")
    assert "abcdefgh" not in failure.message
    assert "abcdefghijklmnop" not in "".join(failure.log)


def test_error_names_host_phase_and_task_and_puts_the_cause_below() -> None:
    message = failed(msg="one\ntwo").as_error().message
    assert message == "gw1 in phase 4 (place the release): Do it\n       one\n       two"


def test_log_of_the_release_program_ends_before_it_repeats_its_error() -> None:
    told = json.dumps({"error": {"message": "no", "hint": "h"}})
    failure = failed(cmd=PROGRAM, rc=9, stdout=told, stderr="golden call …\nswitch …\nerror: no\nhint:  h\n")
    assert failure.log == ("golden call …", "switch …")
