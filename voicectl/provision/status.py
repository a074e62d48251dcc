"""What a host says of its release: the document of its own release program, typed, and the exit code it means."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from voicectl.provision.errors import DriftFound, HostTaskFailed, PreflightRefused
from voicectl.provision.events import PlayEvent, command_of
from voicectl.provision.failure import RELEASE_PROGRAM, Failure
from voicectl.provision.progress import HostProgress

StatusWord = Literal["serving", "drifted", "changing", "stopped", "not installed", "unreachable", "unknown"]


@dataclass(frozen=True, slots=True)
class HostStatus:
    """One host. `told` is the program's own document; None where there is no program, or no answer."""

    host: str
    word: StatusWord
    exit_code: int
    told: Mapping[str, Any] | None = None
    failure: Failure | None = None

    def text(self, key: str) -> str | None:
        """Return a value of the document as text, None when the host did not tell it."""
        value = (self.told or {}).get(key)
        return None if value is None else str(value)

    @property
    def drift(self) -> tuple[str, ...]:
        """Return what differs from what was installed, each as `path: what`."""
        return tuple(str(entry) for entry in (self.told or {}).get("drift") or ())


def read_status(host: HostProgress, outputs: Sequence[PlayEvent]) -> HostStatus:
    """Return the status of a host from what the play over it printed. Pure."""
    told = read_program_document(outputs)
    if told is None and host.failure is not None:
        unreachable = host.state == "unreachable"
        word: StatusWord = "unreachable" if unreachable else "unknown"
        return HostStatus(host.host, word, host.failure.exit_code, failure=host.failure)
    if told is None:
        return HostStatus(host.host, "not installed", PreflightRefused.exit_code)
    if told.get("error"):
        error = told["error"]
        failure = Failure(host.host, str(error.get("message")), str(error.get("hint") or ""), HostTaskFailed.exit_code)
        return HostStatus(host.host, "unknown", HostTaskFailed.exit_code, told, failure)
    return _judge(host.host, told)


def read_program_document(outputs: Sequence[PlayEvent]) -> dict[str, Any] | None:
    """Return the last document that a host's release program printed."""
    for event in reversed(outputs):
        if RELEASE_PROGRAM not in command_of(event.result):
            continue
        try:
            document = json.loads(str(event.result.get("stdout")))
        except ValueError:
            continue
        if isinstance(document, dict):
            return document
    return None


def _judge(host: str, told: Mapping[str, Any]) -> HostStatus:
    if told.get("release") is None and not told.get("attempt"):
        return HostStatus(host, "not installed", PreflightRefused.exit_code, told)
    if told.get("attempt"):
        # Somebody is at it, or was cut off: what is being served is the release program's business until its end.
        return HostStatus(host, "changing", 0 if told.get("locked_by") else HostTaskFailed.exit_code, told)
    if told.get("service") != "active":
        return HostStatus(host, "stopped", HostTaskFailed.exit_code, told)
    if told.get("drift"):
        return HostStatus(host, "drifted", DriftFound.exit_code, told)
    return HostStatus(host, "serving", 0, told)
