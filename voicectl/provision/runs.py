"""One run of a playbook over hosts, from its first event to its outcome: progress, journal, result."""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from voicectl.provision.errors import worst
from voicectl.provision.events import PlayEvent
from voicectl.provision.hosts import Host
from voicectl.provision.journal import Journal
from voicectl.provision.progress import HostProgress, Progress
from voicectl.provision.runner import Session

EXIT_INTERRUPTED = 130


class RunListener(Protocol):
    """Shows people how far a run is."""

    def advanced(self, progress: Progress) -> None:
        """Something happened."""
        ...

    def ticked(self, progress: Progress) -> None:
        """Half a second has passed."""
        ...

    def interrupted(self) -> None:
        """Somebody asked the run to stop; it does when the task in progress allows it."""
        ...


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended on every host. `outputs` is what commands printed, by host."""

    run_id: str
    hosts: Mapping[str, HostProgress]
    outputs: Mapping[str, Sequence[PlayEvent]]
    seconds: float
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """Return the code that tells most about all hosts; 0 only when all are done."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        return worst([host.failure.exit_code for host in self.hosts.values() if host.failure is not None])


def new_run_id(now: datetime | None = None) -> str:
    """Return the name of a new run; names sort by time."""
    return f"{now or datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def run_playbook(
    session: Session,
    playbook: Path,
    hosts: Sequence[Host],
    variables: Mapping[str, Any],
    listener: RunListener,
    *,
    run_id: str,
    journal: Journal | None = None,
    check: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> RunResult:
    """Run a playbook over all hosts and return how it ended. A journal gets every phase and every host's end."""
    began_at = clock()
    progress = Progress.of(host.name for host in hosts)
    addresses = {host.name: host.address for host in hosts}

    def received(event: PlayEvent) -> None:
        progress.apply(event, clock())
        if event.kind == "phase_began" and journal is not None and event.phase is not None:
            going_on = [addresses[name] for name, host in progress.hosts.items() if host.failure is None]
            journal.note("phase_began", run_id=run_id, phase=event.phase.name, hosts=going_on)
        listener.advanced(progress)

    end = session.play(
        playbook,
        hosts,
        variables,
        on_event=received,
        on_tick=lambda: listener.ticked(progress),
        on_interrupt=listener.interrupted,
        check=check,
    )
    progress.finish(successful=end.successful, tail=end.tail)
    if journal is not None:
        for name, host in progress.hosts.items():
            code = host.failure.exit_code if host.failure else 0
            journal.note("host_ended", run_id=run_id, host=addresses[name], exit_code=code, changed=host.num_changed)
    return RunResult(run_id, progress.hosts, progress.outputs, clock() - began_at, end.interrupted)
