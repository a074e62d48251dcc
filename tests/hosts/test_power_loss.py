"""Power is lost, or the installer is killed, at any moment: the host serves one verified release, or none ever did."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hosts.conftest import OPTIONS, Guests, Installed, Measured
from tests.hosts.invariant import assert_serves_one_of
from tests.hosts.looking import active_release
from tests.hosts.machine import Machine
from tests.hosts.releases import GOOD, Shelf

POINTS = int(os.environ.get("VOICECTL_HOSTS_POINTS", "1"))
"""How many moments each test tries; the long campaign tries 30."""
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
    for moment in moments(install_s, "kill-install"):
        told(f"installer killed after {moment} s")
        machine = new_guest()
        machine.boot()
        kill_after(installed.operator.start("install", installed.bundle, [machine], *OPTIONS), moment)
        if active_release(machine) is not None:
            _settles(machine)
        assert_serves_one_of(machine, {release}, installed.question, _key(machine, installed), may_be_none=True)
        installed.operator.install(installed.bundle, [machine], *OPTIONS).succeeded()
        assert_serves_one_of(machine, {release}, installed.question, _key(machine, installed))
        machine.destroy()
    measured("installers killed, then run again", POINTS, "runs")


@pytest.mark.campaign
def test_killed_upgrade_leaves_one_release_serving(
    new_guest: Guests, installed: Installed, shelf: Shelf, upgrade_s: float, measured: Measured
) -> None:
    newer = shelf.changed(GOOD)
    old, new = shelf.release_id(installed.bundle), shelf.release_id(newer)
    for moment in moments(upgrade_s, "kill-upgrade"):
        told(f"upgrade killed after {moment} s")
        machine = new_guest(installed.image)
        machine.boot()
        kill_after(installed.operator.start("upgrade", newer, [machine], *OPTIONS), moment)
        _settles(machine)
        assert_serves_one_of(machine, {old, new}, installed.question, installed.api_key)
        installed.operator.upgrade(newer, [machine], *OPTIONS).succeeded()
        assert_serves_one_of(machine, {new}, installed.question, installed.api_key)
        machine.destroy()
    measured("upgrades killed, then run again", POINTS, "runs")


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
    assert_serves_one_of(machine, allowed, installed.question, _key(machine, installed), may_be_none=may_be_none)
    installed.operator.install(installed.bundle, [machine], *OPTIONS).succeeded()
    assert_serves_one_of(machine, {wanted}, installed.question, _key(machine, installed))


def _settles(machine: Machine) -> None:
    """Wait until what a killed command left running on the host has come to its end."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        busy = machine.read("pgrep -f 'release.pyz (activate|rollback|recover|gate)|ansible' || true")
        if not busy:
            return
        time.sleep(0.2)
    raise AssertionError(f"still at work after four minutes: {busy}")


def _key(machine: Machine, installed: Installed) -> str:
    """Return a key for the guest's service; the one of the killed command was never shown, so root makes another."""
    kept: Path = machine.folder / "api.key"
    if not kept.exists():
        shown = installed.operator.api_keys.get(machine.address)
        gate_key = machine.ssh("cat /etc/voicectl/gate.key", check=False).stdout.strip()
        if not (shown or gate_key):
            return ""
        kept.write_text(gate_key or shown or "")
    return kept.read_text()
