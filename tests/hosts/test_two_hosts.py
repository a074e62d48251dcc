"""Two hosts at once, by one command: what happens to one does not happen to the other."""

import pytest

from tests.hosts.conftest import OPTIONS, Guests, Installed, Measured
from tests.hosts.invariant import assert_serves_one_of
from tests.hosts.releases import GOOD, Shelf


@pytest.mark.campaign
def test_two_hosts_are_installed_by_one_command(
    new_guest: Guests, installed: Installed, shelf: Shelf, measured: Measured
) -> None:
    machines = [new_guest(), new_guest()]
    for machine in machines:
        machine.boot()
    outcome = installed.operator.install(installed.bundle, machines, *OPTIONS).succeeded()
    measured("two hosts by one command", outcome.seconds, "s")
    release = shelf.release_id(installed.bundle)
    for machine in machines:
        key = installed.operator.api_keys[machine.address]
        assert_serves_one_of(machine, {release}, installed.question, key)
    first, second = (installed.operator.api_keys[machine.address] for machine in machines)
    assert first != second


@pytest.mark.campaign
def test_host_that_is_off_does_not_hold_the_other_up(new_guest: Guests, installed: Installed, shelf: Shelf) -> None:
    on, off = new_guest(installed.image), new_guest(installed.image)
    on.boot()
    newer = shelf.changed(GOOD)
    off.boot()
    off.ssh("systemctl stop ssh.socket ssh.service", check=False)
    outcome = installed.operator.upgrade(newer, [on, off], *OPTIONS)
    assert outcome.code == 7, outcome.error or outcome.document
    assert outcome.host(off)["outcome"] == "unreachable"


@pytest.mark.beyond_core
def test_two_hosts_are_upgraded_by_one_command(
    new_guest: Guests, installed: Installed, shelf: Shelf, measured: Measured
) -> None:
    machines = [new_guest(installed.image), new_guest(installed.image)]
    for machine in machines:
        machine.boot()
    newer = shelf.changed(GOOD)
    operator = installed.operator
    outcome = operator.on_inventory("upgrade", machines, *operator.bundle(newer), *OPTIONS).succeeded()
    measured("two hosts upgraded by one command", outcome.seconds, "s")
    status = operator.on_inventory("status", machines, "--verify").succeeded()
    for machine in machines:
        assert outcome.document["hosts"][machine.name]["outcome"] == "done"
        assert status.document["hosts"][machine.name]["last_verify_ok"] is True
        assert_serves_one_of(machine, {shelf.release_id(newer)}, installed.question, installed.api_key)
