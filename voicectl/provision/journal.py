"""The operator's record of runs: one JSON line an event, on disk before the next step. Knows no Ansible."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

FILE_NAME: Final = "journal.jsonl"
MAX_BYTES: Final = 5_000_000
_OWNER_ONLY: Final = 0o600


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that did not get to its end on a host, and the phase it was in."""

    run_id: str
    command: str
    began_at: str
    phase: str | None


class Journal:
    """A file of events. Nothing in it is secret; nothing is decided by it but what people are told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME

    def note(self, event: str, **values: Any) -> None:
        """Add an event. It is on disk when this returns."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.exists() and self.path.stat().st_size > MAX_BYTES:
            self.path.replace(self.path.with_suffix(".jsonl.1"))
        line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **values})
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, _OWNER_ONLY)
        try:
            os.write(descriptor, line.encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield all events, oldest first; a line that was cut off by a crash is left out."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event

    def unfinished(self, addresses: Sequence[str]) -> dict[str, Unfinished]:
        """Return, by host, the last run that changes hosts, where it did not get to its end there."""
        return unfinished(self.events(), addresses)


def unfinished(events: Iterator[dict[str, Any]], addresses: Sequence[str]) -> dict[str, Unfinished]:
    """Return the open runs that `events` tell of, by host address. Pure."""
    runs: dict[str, dict[str, Any]] = {}
    found: dict[str, Unfinished] = {}
    for event in events:
        run_id, host = str(event.get("run_id")), event.get("host")
        match event.get("event"):
            case "run_began":
                runs[run_id] = event
                for address in event.get("hosts", []):
                    began = Unfinished(run_id, str(event.get("command")), str(event.get("at")), None)
                    found[address] = began
            case "phase_began":
                for address, run in found.items():
                    if run.run_id == run_id and address in event.get("hosts", []):
                        found[address] = Unfinished(run_id, run.command, run.began_at, str(event.get("phase")))
            case "host_ended" if event.get("exit_code") == 0 and host in found and found[host].run_id == run_id:
                del found[host]
    # A run that did not get as far as a phase has changed nothing.
    return {address: run for address, run in found.items() if address in addresses and run.phase is not None}
