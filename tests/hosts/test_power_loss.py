"""Power is lost, or the installer is killed, at any moment: the host serves one verified release, or none ever did."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.hosts.conftest import OPTIONS, Guests, Installed, Measured
from tests.hosts.invariant import assert_serves_one_of
from tests.hosts.machine import Machine
from tests.hosts.releases import GOOD, Shelf

POINTS = int(os.environ.get("VOICECTL_HOSTS_POINTS", "1"))
"""How many moments each test tries; the long campaign tries 30."""
pytestmark = pytest.mark.timeout(900 + 400 * POINTS)
KILLS_A_HOST = 8
"""How often the commands on one host are killed at most before they may end."""
SEED = int(os.environ.get("VOICECTL_HOSTS_SEED", str(int(time.time()))))
"""Where the moments come from; printed, so that a failure can be repeated."""


def moments(longest_s: float, salt: str) -> list[float]:
    """Return POINTS moments, one in each equal share of a run that takes `longest_s`."""
    chance = random.Random(f"{SEED}-{salt}")
    return [round(longest_s * (share + chance.random()) / POINTS, 2) for share in range(POINTS)]


def told(what: str) -> None:
    """Say what is tried; pytest shows it where the test fails."""
    sys.stdout.write(f"seed {SEED}: {what}\n")


def kill_after(process: "subprocess.Popen[str]", seconds: float) -> bool:
    """Kill the command and all that it started after `seconds`; return whether it was still at work."""
    try:
        process.communicate(timeout=seconds)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True


def killed_runs(
    machine: Machine, start: Callable[[Machine], "subprocess.Popen[str]"], longest_s: float, salt: str
) -> Iterator[None]:
    """Run a command on one host again and again, and yield whenever it was killed at work and the host is settled.

    What one run has done, the next one finds; it ends with the run that was finished sooner than killed.
    """
    chance = random.Random(f"{SEED}-{salt}")
    for _ in range(KILLS_A_HOST):
        moment = round(longest_s * chance.random(), 2)
        told(f"{machine.name}: killed after {moment} s")
        if not kill_after(start(machine), moment):
            return
        _settles(machine)
        yield


@pytest.fixture(scope="module")
def install_s(installed: Installed) -> float:
    return installed.outcome.seconds


@pytest.fixture(scope="module")
def upgrade_s(installed: Installed) -> float:
    """Return about how long an upgrade takes: weights and packages are there, the rest is the same work."""
    return 0.7 * installed.outcome.seconds


@pytest.mark.campaign
def test_power_loss_during_an_installation_is_made_good_by_running_it_again(
    new_guest: Guests, installed: Installed, shelf: Shelf, install_s: float, measured: Measured
) -> None:
    release = shelf.release_id(installed.bundle)
    for moment in moments(install_s, "install"):
        told(f"power loss {moment} s into an installation")
        machine = new_guest()
        machine.boot()
        process = installed.operator.start("install", installed.bundle, [machine], *OPTIONS)
        _lose_power_after(machine, process, moment)
        _comes_back_and_is_finished(machine, installed, {release}, release, may_be_none=True)
        machine.destroy()
    measured("power losses during an installation, then resumed", POINTS, "runs")


@pytest.mark.beyond_core
def test_power_loss_during_an_upgrade_leaves_one_release_serving(
    new_guest: Guests, installed: Installed, shelf: Shelf, upgrade_s: float, measured: Measured
) -> None:
    newer = shelf.changed(GOOD)
    old, new = shelf.release_id(installed.bundle), shelf.release_id(newer)
    for moment in moments(upgrade_s, "upgrade"):
        told(f"power loss {moment} s into an upgrade")
        machine = new_guest(installed.image)
        machine.boot()
        process = installed.operator.start("upgrade", newer, [machine], *OPTIONS)
        _lose_power_after(machine, process, moment)
        machine.boot()
        assert_serves_one_of(machine, {old, new}, installed.question, installed.api_key)
        installed.operator.upgrade(newer, [machine], *OPTIONS).succeeded()
        assert_serves_one_of(machine, {new}, installed.question, installed.api_key)
        machine.destroy()
    measured("power losses during an upgrade, then resumed", POINTS, "runs")


@pytest.mark.campaign
def test_killed_installer_is_made_good_by_running_it_again(
    new_guest: Guests, installed: Installed, shelf: Shelf, install_s: float, measured: Measured
) -> None:
    release = shelf.release_id(installed.bundle)

    def start(machine: Machine) -> "subprocess.Popen[str]":
        return installed.operator.start("install", installed.bundle, [machine], *OPTIONS)

    num_killed = num_hosts = 0
    for salt in range(POINTS):
        if num_killed >= POINTS:
            break
        machine = new_guest()
        machine.boot()
        num_hosts += 1
        for _ in killed_runs(machine, start, install_s, f"kill-install-{salt}"):
            num_killed += 1
            assert_serves_one_of(machine, {release}, installed.question, _key(machine), may_be_none=True)
        installed.operator.install(installed.bundle, [machine], *OPTIONS).succeeded()
        assert_serves_one_of(machine, {release}, installed.question, _key(machine))
        machine.destroy()
    measured("installations killed, then run again", num_killed, "runs")
    measured("hosts that they were run on", num_hosts, "hosts")


@pytest.mark.campaign
def test_killed_upgrade_leaves_one_release_serving(
    new_guest: Guests, installed: Installed, shelf: Shelf, upgrade_s: float, measured: Measured
) -> None:
    newer = shelf.changed(GOOD)
    old, new = shelf.release_id(installed.bundle), shelf.release_id(newer)

    def start(machine: Machine) -> "subprocess.Popen[str]":
        return installed.operator.start("upgrade", newer, [machine], *OPTIONS)

    num_killed = num_hosts = 0
    for salt in range(POINTS):
        if num_killed >= POINTS:
            break
        machine = new_guest(installed.image)
        machine.boot()
        num_hosts += 1
        for _ in killed_runs(machine, start, upgrade_s, f"kill-upgrade-{salt}"):
            num_killed += 1
            assert_serves_one_of(machine, {old, new}, installed.question, installed.api_key)
        installed.operator.upgrade(newer, [machine], *OPTIONS).succeeded()
        assert_serves_one_of(machine, {new}, installed.question, installed.api_key)
        machine.destroy()
    measured("upgrades killed, then run again", num_killed, "runs")
    measured("hosts that they were run on", num_hosts, "hosts")


@pytest.mark.beyond_core
def test_power_loss_of_a_serving_host_brings_the_same_release_back(
    new_guest: Guests, installed: Installed, shelf: Shelf, measured: Measured
) -> None:
    machine = new_guest(installed.image)
    machine.boot()
    release = shelf.release_id(installed.bundle)
    assert_serves_one_of(machine, {release}, installed.question, installed.api_key)
    machine.lose_power()
    begun = time.monotonic()
    machine.boot()
    assert_serves_one_of(machine, {release}, installed.question, installed.api_key)
    measured("power loss to the first answered call, verification included", time.monotonic() - begun, "s")


def _lose_power_after(machine: Machine, process: "subprocess.Popen[str]", moment: float) -> None:
    try:
        process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        machine.lose_power()
        # The installer has to notice by itself that the host is gone; its own words are not what this is about.
        kill_after(process, 1.0)
    else:
        machine.lose_power()


def _comes_back_and_is_finished(
    machine: Machine, installed: Installed, allowed: set[str], wanted: str, *, may_be_none: bool
) -> None:
    machine.boot()
    assert_serves_one_of(machine, allowed, installed.question, _key(machine), may_be_none=may_be_none)
    installed.operator.install(installed.bundle, [machine], *OPTIONS).succeeded()
    assert_serves_one_of(machine, {wanted}, installed.question, _key(machine))


def _settles(machine: Machine) -> None:
    """Wait until what a killed command left running on the host has come to its end."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        busy = machine.read("pgrep -f 'release.pyz ([a]ctivate|[r]ollback|[r]ecover|[g]ate)|[a]nsible' || true")
        if not busy:
            return
        time.sleep(0.2)
    raise AssertionError(f"still at work after four minutes: {busy}")


def _key(machine: Machine) -> str:
    """Return the key of the host's own golden calls: the one of a killed command was never shown."""
    return machine.ssh("cat /etc/voicectl/gate.key", check=False).stdout.strip()
