"""The operator: runs the real `voicectl` against guests from a home of its own, and keeps what it was told."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.conftest import REPOSITORY
from tests.hosts.machine import Machine, operator_key

PORT: Final = 8080
TIMEOUT_S: Final = 420.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: exit code, its one JSON document, what it told people, how long and how much work it was."""

    code: int
    document: dict[str, Any]
    told: str
    seconds: float
    processor_s: float

    @property
    def error(self) -> str:
        """Return cause and hint of the failure, empty without one."""
        error = self.document.get("error") or {}
        return f"{error.get('message', '')}\nhint: {error.get('hint', '')}" if error else ""

    def host(self, machine: Machine) -> dict[str, Any]:
        """Return what the document says of one host."""
        found: dict[str, Any] = self.document["hosts"][machine.address]
        return found

    def succeeded(self) -> "Outcome":
        """Return this outcome. Raises AssertionError with all that was told unless the command succeeded."""
        if self.code != 0:
            words = json.dumps(self.document, indent=1)
            raise AssertionError(f"exit {self.code} after {self.seconds:.1f} s\n{words}\n{self.told[-6000:]}")
        return self


class Operator:
    """Somebody with the bundle, a key for ssh, and a home that no other test uses."""

    def __init__(self, home: Path, allowed_signers: Path) -> None:
        self.home = home
        self.known_hosts = home / "known_hosts"
        self.allowed_signers = allowed_signers
        self.api_keys: dict[str, str] = {}
        home.mkdir(parents=True, exist_ok=True)

    # --- commands -----------------------------------------------------------------------------------------------

    def install(self, bundle: Path, machines: Iterable[Machine], *options: str) -> Outcome:
        """Run `voicectl install`; API keys that were made are kept."""
        return self._keep_keys(self.run("install", *self.bundle(bundle), *self._hosts(machines), *options))

    def upgrade(self, bundle: Path, machines: Iterable[Machine], *options: str) -> Outcome:
        """Run `voicectl upgrade`."""
        return self._keep_keys(self.run("upgrade", *self.bundle(bundle), *self._hosts(machines), *options))

    def on(self, command: str, machines: Iterable[Machine], *options: str) -> Outcome:
        """Run a command that needs no bundle, such as `rollback`, `status` or `uninstall`."""
        return self.run(command, *self._hosts(machines), *options)

    def on_inventory(self, command: str, machines: Sequence[Machine], *options: str) -> Outcome:
        """Run a command on the hosts of an Ansible inventory, which calls them by their names."""
        self.trust(machines)
        inventory = self.home / "hosts.ini"
        lines = [f"{machine.name} ansible_host={machine.address} ansible_user=root" for machine in machines]
        inventory.write_text("[gateways]\n" + "\n".join(lines) + "\n")
        return self.run(command, "--inventory", str(inventory), *self._reached(), *options)

    def start(self, command: str, bundle: Path, machines: Iterable[Machine], *options: str) -> "subprocess.Popen[str]":
        """Start `install` or `upgrade` in a process group of its own and return without waiting."""
        words = self._command(command, *self.bundle(bundle), *self._hosts(machines), *options)
        return subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._environment(),
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    def run(self, *arguments: str, timeout_s: float = TIMEOUT_S) -> Outcome:
        """Run one command of `voicectl` with nobody at the keyboard."""
        begun, used_s = time.monotonic(), _children_s()
        done = subprocess.run(
            self._command(*arguments), capture_output=True, text=True, env=self._environment(),
            stdin=subprocess.DEVNULL, timeout=timeout_s, check=False,
        )  # fmt: skip
        seconds = time.monotonic() - begun
        document = json.loads(done.stdout) if done.stdout.strip() else {}
        return Outcome(done.returncode, document, done.stderr, seconds, _children_s() - used_s)

    def trust(self, machines: Iterable[Machine]) -> None:
        """Write the host keys of the guests down."""
        known = self.known_hosts.read_text() if self.known_hosts.exists() else ""
        for machine in machines:
            line = machine.known_hosts.read_text()
            known += line if line not in known else ""
        self.known_hosts.write_text(known)

    # --- parts --------------------------------------------------------------------------------------------------

    def _hosts(self, machines: Iterable[Machine]) -> list[str]:
        machines = list(machines)
        self.trust(machines)
        return [*self._reached(), *(f"root@{machine.address}" for machine in machines)]

    def _reached(self) -> list[str]:
        return ["--key", str(operator_key()), "--known-hosts", str(self.known_hosts)]

    def bundle(self, bundle: Path) -> list[str]:
        """Return the options that name a bundle and whom to trust."""
        return ["--bundle", str(bundle), "--allowed-signers", str(self.allowed_signers)]

    def _command(self, *arguments: str) -> Sequence[str]:
        return [sys.executable, "-m", "voicectl", *arguments, "--json"]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "XDG_CACHE_HOME")}
        return {
            **kept,
            "HOME": str(self.home),
            "VOICECTL_HOME": str(self.home / "voicectl"),
            "PYTHONPATH": str(REPOSITORY),
        }

    def _keep_keys(self, outcome: Outcome) -> Outcome:
        for name, host in outcome.document.get("hosts", {}).items():
            if host.get("api_key"):
                self.api_keys[name] = host["api_key"]
        return outcome


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
