"""Run playbooks through ansible-runner, shut off from the operator's own Ansible settings. The only importer of it."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Final

from voicectl.core.errors import ConfigError
from voicectl.provision import guard
from voicectl.provision.ansible_settings import FILE_NAME, environment, settings_text
from voicectl.provision.events import PlayEvent, parse_event
from voicectl.provision.hosts import Host, inventory_document
from voicectl.provision.redact import redact
from voicectl.provision.ssh import SshOptions

POLL_S: Final = 0.5
TAIL_LINES: Final = 20
_LISTING_TIMEOUT_S: Final = 60.0
_OWNER_ONLY: Final = 0o700
_INTERRUPTED_STATUS: Final = 99

OnEvent = Callable[[PlayEvent], None]


@dataclass(frozen=True, slots=True)
class PlayEnd:
    """How a play's process ended: its status, whether we were asked to stop, and the end of its output."""

    status: int
    interrupted: bool
    tail: tuple[str, ...]

    @property
    def successful(self) -> bool:
        """Return whether every task of every host went through."""
        return self.status == 0 and not self.interrupted


class Session:
    """The runs of one command: one private folder, one set of open ssh connections. A context manager."""

    def __init__(self, folder: Path, ssh: SshOptions) -> None:
        self.folder = folder
        self._ssh = ssh
        # The path of a socket has 107 bytes at most, and ssh adds 58 to this one.
        self._sockets = Path(tempfile.mkdtemp(prefix="vc-"))
        self._num_runs = 0
        for name in ("", "home", "tmp", "none"):
            (folder / name).mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        _write(folder / FILE_NAME, settings_text(folder))

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_connections()
        shutil.rmtree(self._sockets, ignore_errors=True)

    @property
    def pid_file(self) -> Path:
        """Return the file that holds the process number of Ansible while it runs."""
        return self.folder / "ansible.pid"

    def play(
        self,
        playbook: Path,
        hosts: Sequence[Host],
        variables: Mapping[str, Any],
        *,
        on_event: OnEvent,
        on_tick: Callable[[], None] = lambda: None,
        on_interrupt: Callable[[], None] = lambda: None,
        check: bool = False,
    ) -> PlayEnd:
        """Run one playbook over all hosts at once and return how it ended. SIGINT and SIGTERM end it in good order."""
        # It takes a quarter of a second, which `--help` has not.
        from ansible_runner import Runner, RunnerConfig

        self._num_runs += 1
        private = self.folder / f"run-{self._num_runs}"
        _write_inputs(private, hosts, variables, check=check, forks=max(5, len(hosts)))
        config = RunnerConfig(
            private_data_dir=str(private),
            project_dir=str(playbook.parent),
            playbook=str(playbook),
            inventory=str(private / "inventory" / "hosts.json"),
            envvars=self._environment(),
            ident="play",
            quiet=True,
        )
        config.prepare()
        config.env = _only_ours(config.env, self._environment())
        config.command = [
            *(sys.executable, "-I", str(guard.__file__), str(self.pid_file)),
            *(sys.executable, "-P", "-m", "ansible", "playbook", *config.command[1:]),
        ]
        stop = _Stop(self.pid_file, on_interrupt)

        def received(raw: Mapping[str, Any]) -> bool:
            event = parse_event(raw)
            if event is not None:
                on_event(event)
            return False

        def polled() -> bool:
            on_tick()
            return stop.at_once

        with stop.listening():
            _, status = Runner(config, event_handler=received, cancel_callback=polled).run()
        self.pid_file.unlink(missing_ok=True)
        interrupted = stop.asked or status == _INTERRUPTED_STATUS
        return PlayEnd(int(status or 0), interrupted, _tail(Path(config.artifact_dir) / "stdout"))

    def list_inventory(self, path: Path) -> dict[str, Any]:
        """Return what `ansible-inventory --list` reads from an inventory file. Raises ConfigError."""
        command = [sys.executable, "-P", "-m", "ansible", "inventory", "-i", str(path.absolute()), "--list"]
        told = subprocess.run(  # noqa: S603 - a list of arguments
            command,
            env=_only_ours(dict(os.environ), self._environment()) | self._environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_LISTING_TIMEOUT_S,
            check=False,
        )
        try:
            listing = json.loads(told.stdout)
        except ValueError:
            listing = None
        if told.returncode or not isinstance(listing, dict):
            raise ConfigError(f"{path}: {_cause(told.stderr)}", hint="an inventory is INI or YAML as Ansible reads it")
        return listing

    def _environment(self) -> dict[str, str]:
        return environment(self.folder) | self._ssh.environment(self._sockets)

    def _close_connections(self) -> None:
        for place in self._sockets.iterdir():
            with suppress(OSError, subprocess.TimeoutExpired):
                subprocess.run(  # noqa: S603 - a list of arguments
                    ["ssh", "-O", "exit", "-o", f"ControlPath={place}", "-F", "none", "all"],  # noqa: S607
                    capture_output=True,
                    timeout=5,
                    check=False,
                )


class _Stop:
    """The wish to stop: the first signal lets Ansible end its workers, the second ends it at once."""

    def __init__(self, pid_file: Path, on_interrupt: Callable[[], None]) -> None:
        self._pid_file = pid_file
        self._on_interrupt = on_interrupt
        self.asked = False
        self.at_once = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM for ourselves while a play runs; only the main thread may."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._received) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _received(self, _number: int, _frame: FrameType | None) -> None:
        self.at_once = self.asked
        self.asked = True
        with suppress(OSError, ValueError):
            os.kill(int(self._pid_file.read_text()), signal.SIGINT)
        self._on_interrupt()


def _write_inputs(
    private: Path, hosts: Sequence[Host], variables: Mapping[str, Any], *, check: bool, forks: int
) -> None:
    for folder in (private, private / "env", private / "inventory"):
        folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
    _write(private / "inventory" / "hosts.json", json.dumps(inventory_document(hosts)))
    _write(private / "env" / "extravars", json.dumps(dict(variables)))
    _write(private / "env" / "settings", json.dumps({"pexpect_timeout": POLL_S}))
    _write(private / "env" / "cmdline", shlex.join(["--forks", str(forks), *(["--check"] if check else [])]))


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _only_ours(prepared: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what the operator has set for an Ansible of their own."""
    inherited = os.environ
    return {
        name: value
        for name, value in prepared.items()
        if name in ours or inherited.get(name) != value or not name.startswith(("ANSIBLE_", "PYTHON"))
    }


def _tail(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(redact(line.rstrip()) for line in lines if line.strip())[-TAIL_LINES:]


def _cause(stderr: str) -> str:
    lines = [line.removeprefix("[ERROR]: ").removeprefix("[WARNING]: ") for line in stderr.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Unable to parse", "No inventory was parsed"))]
    return (told or lines or ["cannot be read as an inventory"])[0].strip()
