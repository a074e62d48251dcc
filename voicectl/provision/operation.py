"""One command over hosts from beginning to end: who they are, their locks, a private folder, a line in the journal."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from voicectl.core.errors import UsageError
from voicectl.provision.errors import PreflightRefused
from voicectl.provision.hosts import Host, listed_hosts, local_host, parse_hosts
from voicectl.provision.journal import Journal, Unfinished
from voicectl.provision.leftovers import FOLDER, HELD_FILE, clear_run, end_leftovers, prune_runs
from voicectl.provision.locks import host_locks
from voicectl.provision.runner import Session
from voicectl.provision.runs import new_run_id
from voicectl.provision.ssh import SshOptions, with_root

_CHOOSE: Final = "name hosts, or give --inventory FILE, or --local for this machine"


@dataclass(frozen=True, slots=True)
class Selection:
    """The hosts that an operator means: names, a file, or this machine; exactly one of the three."""

    names: tuple[str, ...] = ()
    inventory: Path | None = None
    local: bool = False

    def checked(self) -> "Selection":
        """Return the selection. Raises UsageError when it is none, or more than one."""
        ways = [bool(self.names), self.inventory is not None, self.local]
        if not any(ways):
            raise UsageError("no host is named", hint=_CHOOSE)
        if sum(ways) > 1:
            raise UsageError("hosts are named in more than one way", hint=_CHOOSE)
        if self.inventory is not None and not self.inventory.is_file():
            raise UsageError(f"--inventory {self.inventory}: no such file")
        parse_hosts(self.names)
        return self


@dataclass(slots=True)
class Operation:
    """A command at work: its hosts, and what is open for it. `keep_output` is for a run that failed."""

    command: str
    run_id: str
    hosts: tuple[Host, ...]
    session: Session
    journal: Journal
    folder: Path
    unfinished: dict[str, Unfinished] = field(default_factory=dict)
    keep_output: bool = True

    @property
    def addresses(self) -> list[str]:
        """Return where the hosts are."""
        return [host.address for host in self.hosts]


@contextmanager
def operation(
    command: str, selection: Selection, ssh: SshOptions, state: Path, *, changes: bool
) -> Iterator[Operation]:
    """Prepare a command over hosts. One that `changes` them holds their locks until its end, and writes the journal.

    Raises UsageError or ConfigError for hosts that cannot be meant, PreflightRefused without root on this machine,
    LockedError while another run is at work on one of them.
    """
    chosen, options = selection.checked(), ssh.checked()
    if chosen.local and os.geteuid() != 0:
        again = f"sudo voicectl {command} --local"
        raise PreflightRefused("this machine: we are not root", hint=f"run it as root: {again}")
    run_id = new_run_id()
    folder = state / FOLDER / run_id
    with ExitStack() as stack:
        stack.enter_context(_held(folder))
        session = stack.enter_context(Session(folder, options))
        hosts = with_root(_hosts(chosen, session), options)
        work = Operation(command, run_id, hosts, session, Journal(state), folder)
        stack.callback(lambda: clear_run(folder, keep_output=work.keep_output))
        if changes:
            stack.enter_context(host_locks(state, work.addresses, command=command))
            end_leftovers(state)
            prune_runs(state)
            work.unfinished = work.journal.unfinished(work.addresses)
            work.journal.note("run_began", run_id=run_id, command=command, hosts=work.addresses)
        else:
            work.keep_output = False
        yield work


def _hosts(selection: Selection, session: Session) -> Sequence[Host]:
    if selection.local:
        return (local_host(),)
    if selection.inventory is not None:
        return listed_hosts(session.list_inventory(selection.inventory), str(selection.inventory))
    return parse_hosts(selection.names)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Mark a folder as in use: others clear away what nobody holds."""
    folder.mkdir(mode=0o700, parents=True)
    descriptor = os.open(folder / HELD_FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
