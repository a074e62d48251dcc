"""A host that nobody reaches: the bundle is carried there, and the host installs itself with what is inside."""

import json
import time
from typing import Any

import pytest

from tests.hosts.conftest import OPTIONS, Guests, Measured
from tests.hosts.invariant import assert_serves_one_of
from tests.hosts.link import counting
from tests.hosts.machine import Machine
from tests.hosts.releases import Shelf

COMMAND_TIMEOUT_S = 420.0
SIGNERS = "--allowed-signers allowed_signers"


def run_there(machine: Machine, command: str) -> dict[str, Any]:
    """Run a command in the folder with the bundle and return its one document."""
    done = machine.ssh(f"cd /root && {command} --json", timeout_s=COMMAND_TIMEOUT_S)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.beyond_core
def test_host_installs_itself_with_the_bundle_alone(new_guest: Guests, shelf: Shelf, measured: Measured) -> None:
    machine = new_guest()
    machine.boot(default_route=True)
    machine.copy_in([shelf.real(), shelf.allowed_signers], "/root/")
    begun = time.monotonic()
    with counting(machine.link) as left:
        machine.ssh("cd /root && tar xf real.vcb voicectl.pyz")
        installed = run_there(machine, f"./voicectl.pyz install --local {SIGNERS} {' '.join(OPTIONS)}")
    measured("host that installs itself, command to the end", time.monotonic() - begun, "s")
    assert left == [0]
    (host,) = installed["hosts"].values()
    assert host["outcome"] == "done"
    release = shelf.release_id(shelf.real())
    assert_serves_one_of(machine, {release}, shelf.question(), host["api_key"])
    (status,) = run_there(machine, "voicectl status --local --verify")["hosts"].values()
    assert (status["release"], status["last_verify_ok"], status["drift"]) == (release, True, [])
    (again,) = run_there(machine, f"voicectl install --local {SIGNERS} {' '.join(OPTIONS)}")["hosts"].values()
    assert (again["outcome"], again["changed"]) == ("done", 0)
    (checked,) = run_there(machine, f"voicectl install --local --check {SIGNERS}")["hosts"].values()
    assert checked["changed"] == 0
    (removed,) = run_there(machine, "voicectl uninstall --local --purge")["hosts"].values()
    assert removed["outcome"] == "done"
    assert machine.read("ls -d /opt/voicectl /var/lib/voicectl /etc/voicectl 2>/dev/null || true") == ""
