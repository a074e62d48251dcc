"""What must hold on a host whatever was cut off, and whenever: one verified release serves, or none ever did."""

from collections.abc import Collection
from pathlib import Path

from tests.hosts.calls import ask
from tests.hosts.looking import active_release, release_program, wait_until_ready
from tests.hosts.machine import Machine


def assert_serves_one_of(
    machine: Machine, allowed: Collection[str], question: Path, api_key: str | None, *, may_be_none: bool = False
) -> str | None:
    """Return the release that serves. Raises AssertionError unless it is one of `allowed`, whole, and answers.

    With `may_be_none` a host on which no release was ever active passes, too.
    """
    active = active_release(machine)
    if active is None:
        assert may_be_none, "no release is active"
        state = machine.ssh("systemctl is-active voicectl.service", check=False).stdout.strip()
        assert state != "active", "a service runs although no release is active"
        return None
    assert active in allowed, f"{active} serves, expected one of {sorted(allowed)}"
    wait_until_ready(machine)
    running = machine.read("readlink /proc/$(systemctl show -P MainPID voicectl.service)/root || true")
    assert running, "the service has no main process"
    # Exit 12 is drift of the configuration: the release itself is whole.
    code, document = release_program(machine, "verify", "--deep")
    assert code in (0, 12), document
    assert not [line for line in document.get("drift", []) if "/opt/voicectl/releases/" in line], document
    answered = ask(machine, question, api_key)
    assert answered.reply
    assert answered.heard
    return active
