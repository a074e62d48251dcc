"""How far each host is: events of a play in, phase, task, counts and outcome of every host out. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from voicectl.provision.errors import worst
from voicectl.provision.events import Phase, PlayEvent
from voicectl.provision.failure import EXIT_CODE_FACT, Failure, read_failure, unreached

HostState = Literal["waiting", "running", "done", "failed", "unreachable"]

KEY_FILE_TASK: Final = "Create the key file"
"""The task that places the first API key; it reports a change only where there was no file of keys."""


@dataclass(slots=True)
class HostProgress:
    """One host. Instants are on the clock of who feeds the events; None means that it did not happen."""

    host: str
    state: HostState = "waiting"
    phase: Phase | None = None
    task: str | None = None
    task_began_at: float | None = None
    ended_at: float | None = None
    num_ok: int = 0
    changed_tasks: list[str] = field(default_factory=list)
    has_key_file: bool = False
    failure: Failure | None = None
    exit_code: int | None = None

    @property
    def num_changed(self) -> int:
        """Return how many tasks have changed something."""
        return len(self.changed_tasks)


@dataclass(slots=True)
class Progress:
    """All hosts of one play. `phase` is the one the play is in, `began_at` when that one began."""

    hosts: dict[str, HostProgress]
    phase: Phase | None = None
    phase_began_at: float | None = None
    has_stats: bool = False
    outputs: dict[str, list[PlayEvent]] = field(default_factory=dict)
    """What commands and scripts printed, by host."""

    @classmethod
    def of(cls, names: Iterable[str]) -> "Progress":
        """Return the progress of hosts that nothing has happened to."""
        return cls({name: HostProgress(name) for name in names})

    def apply(self, event: PlayEvent, at: float) -> None:
        """Take in one event that happened at `at`."""
        match event.kind:
            case "phase_began":
                self.phase, self.phase_began_at = event.phase, at
            case "play_ended":
                self._end(event.stats, at)
            case _:
                host = self.hosts.get(event.host or "")
                if host is not None:
                    self._advance(host, event, at)

    def finish(self, *, successful: bool, tail: tuple[str, ...] = ()) -> None:
        """The play's process is over: a host that is not done is one that failed."""
        for host in self.hosts.values():
            if host.failure is None and (host.state != "done" or not (successful or self.has_stats)):
                host.state = "failed"
                host.failure = unreached(host.host, host.phase, tail)

    def failures(self) -> tuple[Failure, ...]:
        """Return why hosts did not get through, in the order of the hosts."""
        return tuple(host.failure for host in self.hosts.values() if host.failure is not None)

    def exit_code(self) -> int:
        """Return the exit code that tells most; 0 only when every host is done."""
        return worst([failure.exit_code for failure in self.failures()])

    def _advance(self, host: HostProgress, event: PlayEvent, at: float) -> None:
        host.phase = self.phase
        host.task = event.task
        match event.kind:
            case "task_began":
                host.state, host.task_began_at = "running", at
            case "task_ended":
                host.state = "running"
                self._count(host, event)
            case "task_failed" if not event.ignored:
                host.state, host.ended_at = "failed", at
                host.failure = host.failure or read_failure(event, self.phase, host.exit_code)
            case "host_unreachable":
                host.state, host.ended_at = "unreachable", at
                host.failure = host.failure or read_failure(event, self.phase)
        if "stdout" in event.result:
            self.outputs.setdefault(host.host, []).append(event)

    def _count(self, host: HostProgress, event: PlayEvent) -> None:
        if event.skipped:
            return
        host.num_ok += 1
        if event.changed:
            host.changed_tasks.append(event.task or "")
            host.has_key_file = host.has_key_file or host.changed_tasks[-1].endswith(KEY_FILE_TASK)
        facts = event.result.get("ansible_facts")
        code = facts.get(EXIT_CODE_FACT) if isinstance(facts, dict) else None
        if code is not None:
            host.exit_code = int(code)

    def _end(self, stats: Mapping[str, Mapping[str, int]], at: float) -> None:
        self.has_stats = True
        reached = {*stats.get("ok", {}), *stats.get("changed", {}), *stats.get("skipped", {})}
        bad = {name for key in ("failures", "dark") for name, count in stats.get(key, {}).items() if count}
        for host in self.hosts.values():
            if host.host in reached - bad:
                # What a play has rescued is no failure.
                host.state, host.ended_at, host.failure = "done", at, None
