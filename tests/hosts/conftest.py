"""Fixtures of the tests on booted machines; where these cannot be booted, every test is skipped with the reason."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hosts.base import base_image
from tests.hosts.machine import Machine, existing

NEEDED = ("debootstrap", "systemd-nspawn", "nsenter", "nft", "ssh", "ssh-keygen", "scp", "ip", "mkfs.ext4", "mount")
OWNER = "owner.pid"
"""File in a guest's folder with the pid of the test run it belongs to."""


def reason_to_skip() -> str | None:
    """Return why machines cannot be booted here, None if they can."""
    if os.geteuid() != 0:
        return "booting machines needs root"
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not Path("/dev/loop-control").exists():
        return "this kernel has no loop devices"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = reason_to_skip()
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.hosts)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(600))
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def base() -> Path:
    """Return the base image; guests that an aborted run has left behind are removed first."""
    for machine in existing():
        owner = machine.folder / OWNER
        if owner.exists() and not Path(f"/proc/{owner.read_text()}").exists():
            machine.destroy()
    return base_image()


def _guests(scope: str) -> Iterator[Callable[[], Machine]]:
    made: list[Machine] = []

    def make() -> Machine:
        machine = Machine(f"t{os.getpid()}-{scope}{len(made)}"[-12:])
        made.append(machine)
        machine.create()
        (machine.folder / OWNER).write_text(str(os.getpid()))
        return machine

    try:
        yield make
    finally:
        for machine in made:
            machine.destroy()


@pytest.fixture
def new_guest(base: Path) -> Iterator[Callable[[], Machine]]:
    """Return a function that makes a guest with a fresh disk, not yet booted; it ends with the test."""
    yield from _guests("f")


@pytest.fixture(scope="module")
def new_module_guest(base: Path) -> Iterator[Callable[[], Machine]]:
    """Return a function that makes a guest that lives as long as the tests of one file."""
    yield from _guests("m")
