"""Read what a failed task says: the cause, the next step, the exit code, and the end of its log."""

import itertools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from voicectl.core.errors import IntegrityError, VoicectlError
from voicectl.provision.errors import HOST_ERRORS, HostTaskFailed, HostUnreachable, PreflightRefused
from voicectl.provision.events import Phase, PlayEvent, command_of
from voicectl.provision.redact import redact

LOG_LINES: Final = 20
RELEASE_PROGRAM: Final = "/lib/release."
EXIT_CODE_FACT: Final = "voicectl_exit_code"
RESUME_HINT: Final = "put that right and run the same command again; it goes on where it stopped"

_PASSED_THROUGH: Final = frozenset({*HOST_ERRORS, IntegrityError.exit_code, 5})
_EMPTY_MESSAGES: Final = ("non-zero return code", "MODULE FAILURE", "One or more items failed", "Task failed")
_NO_TRACEBACK: Final = "(traceback unavailable)"
_HINT: Final = re.compile(r"^\s*hint:\s*(.+)$", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_ACCESS_REFUSED: Final = ("permission denied", "too many authentication failures", "no supported authentication")
_HOST_KEY: Final = ("host key verification failed", "remote host identification has changed")
_NO_ROOT: Final = (
    "missing sudo password",
    "incorrect sudo password",
    "a password is required",
    "sudoers",
    "privilege escalation",
    "sudo: not found",
    "sudo: command not found",
)
_SUDO_HINT: Final = "log in as root, allow sudo without a password, or give --become-password-file"
_UNKNOWN_NAME: Final = ("could not resolve hostname", "name or service not known")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a host did not get through: where, what, the next step, and the exit code of its kind."""

    host: str
    message: str
    hint: str
    exit_code: int
    phase: Phase | None = None
    task: str | None = None
    log: tuple[str, ...] = ()

    def as_error(self) -> VoicectlError:
        """Return the failure as the error that a command ends with."""
        kind = IntegrityError if self.exit_code == IntegrityError.exit_code else HOST_ERRORS.get(self.exit_code)
        where = f" in phase {self.phase.number} ({self.phase.name})" if self.phase and self.phase.number else ""
        task = f": {self.task}" if self.task else ""
        # Long causes stand below, where the eye finds them, and line up with the words behind "error: ".
        cause = "".join(f"\n       {line.rstrip()}" for line in self.message.splitlines())
        text = f"{self.host}{where}{task}{cause}" if task else f"{self.host}{where}: {self.message}"
        return (kind or HostTaskFailed)(text, hint=self.hint)


def read_failure(event: PlayEvent, phase: Phase | None, exit_code: int | None = None) -> Failure:
    """Return the failure that an event tells; `exit_code` is one that the play has set before."""
    host = event.host or "unknown"
    if _is_without_root(event.result):
        return Failure(host, "we cannot become root by sudo", _SUDO_HINT, PreflightRefused.exit_code, phase, event.task)
    if event.kind == "host_unreachable":
        return _unreachable(host, event, phase)
    result = _failed_item(event.result)
    told = _told_by_release_program(result)
    message, said = _split_hint(told.get("message") or _message(result))
    hint = told.get("hint") or said or RESUME_HINT
    code = exit_code or HostTaskFailed.exit_code
    if RELEASE_PROGRAM in command_of(result) and result.get("rc") in _PASSED_THROUGH:
        code = int(result["rc"])
    return Failure(
        host=host,
        message=redact(message),
        hint=redact(hint),
        exit_code=code,
        phase=phase,
        task=event.task,
        log=_log(result, told),
    )


def unreached(host: str, phase: Phase | None, tail: tuple[str, ...] = ()) -> Failure:
    """Return the failure of a host that the play ended without getting to."""
    return Failure(
        host=host,
        message="was not finished: the run ended before",
        hint=RESUME_HINT,
        exit_code=HostTaskFailed.exit_code,
        phase=phase,
        log=tail,
    )


def _is_without_root(result: Mapping[str, Any]) -> bool:
    # Only words of sudo and of Ansible about it: a module's own message may speak of passwords too.
    told = " ".join(str(result.get(key) or "") for key in ("msg", "module_stderr")).lower()
    return "rc" not in result and any(words in told for words in _NO_ROOT)


def _unreachable(host: str, event: PlayEvent, phase: Phase | None) -> Failure:
    message = _one_line(str(event.result.get("msg", "")))
    lowered = message.lower()
    if any(words in lowered for words in _HOST_KEY):
        cause = "its host key is not the known one"
        hint = f"if the host was set up anew, remove the old key: ssh-keygen -R {host}; otherwise find out who answers"
    elif any(words in lowered for words in _ACCESS_REFUSED):
        cause = f"refuses our key ({_reason(message)})"
        hint = f"give the right one with --key and --user, or put it on the host: ssh-copy-id -i KEY USER@{host}"
    elif any(words in lowered for words in _UNKNOWN_NAME):
        cause = "has no address: its name cannot be resolved"
        hint = "check the spelling, or give its address"
    else:
        cause = f"cannot be reached ({_reason(message)})"
        hint = f"check that it is up and that ssh gets through: ssh {host} true"
    return Failure(host, redact(cause), hint, HostUnreachable.exit_code, phase, event.task)


def _reason(message: str) -> str:
    """Return the last thing ssh said, without Ansible's words before it."""
    reason = message.rpartition("via ssh: ")[2] or message
    return reason.rpartition("ssh: ")[2].strip().rstrip(".") or "no answer"


def _failed_item(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the part of a loop's result that failed; the result itself when it was no loop."""
    for item in result.get("results", []) or []:
        if isinstance(item, dict) and (item.get("failed") or item.get("unreachable")):
            return item
    return result


def _told_by_release_program(result: Mapping[str, Any]) -> dict[str, str]:
    if RELEASE_PROGRAM not in command_of(result):
        return {}
    try:
        document = json.loads(str(result.get("stdout") or ""))
    except ValueError:
        return {}
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, str):
        return {"message": error}
    return {key: str(error[key]) for key in ("message", "hint") if error.get(key)} if isinstance(error, dict) else {}


def _message(result: Mapping[str, Any]) -> str:
    message = str(result.get("msg") or "")
    if message and not any(message.startswith(empty) for empty in _EMPTY_MESSAGES):
        return message
    for stream in ("stderr", "module_stderr", "stdout", "module_stdout"):
        lines = str(result.get(stream) or "").strip().splitlines()
        if lines:
            return lines[-1].strip()
    status = result.get("rc")
    return f"ended with status {status}" if status is not None else message or "failed without saying why"


def _split_hint(message: str) -> tuple[str, str | None]:
    matched = _HINT.search(message)
    if matched is None:
        return message.strip(), None
    return message[: matched.start()].strip(), _one_line(matched[1])


def _log(result: Mapping[str, Any], told: Mapping[str, str]) -> tuple[str, ...]:
    if told:
        # The program says its error again on stderr, behind the steps that led there.
        steps = itertools.takewhile(lambda line: not line.startswith("error: "), _lines(result, ("stderr",)))
        return tuple(map(redact, steps))[-LOG_LINES:]
    streams = ("stdout", "stderr", "module_stdout", "module_stderr", "exception")
    return tuple(redact(line) for line in _lines(result, streams) if line != _NO_TRACEBACK)[-LOG_LINES:]


def _lines(result: Mapping[str, Any], streams: tuple[str, ...]) -> list[str]:
    lines = [line for stream in streams for line in str(result.get(stream) or "").splitlines()]
    return [line.rstrip() for line in lines if line.strip()]


def _one_line(text: str) -> str:
    return " ".join(text.split())
