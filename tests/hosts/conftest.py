"""Fixtures of the tests on booted machines; where these cannot be booted, every test is skipped with the reason."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.hosts.base import base_image, cache_folder
from tests.hosts.calls import Answered, ask
from tests.hosts.link import counting
from tests.hosts.looking import own_files, wait_until_ready
from tests.hosts.machine import Machine, existing
from tests.hosts.operator import Operator, Outcome
from tests.hosts.releases import Shelf

NEEDED = ("debootstrap", "systemd-nspawn", "nsenter", "nft", "ssh", "ssh-keygen", "scp", "ip", "mkfs.ext4", "mount")
OWNER = "owner.pid"
"""File in a guest's folder with the pid of the test run it belongs to."""
REPORT = cache_folder() / "measured.jsonl"
"""Every run adds a line a figure: when, on which commit, what."""

CAMPAIGN = "VOICECTL_HOSTS_CAMPAIGN"
CORE = "VOICECTL_HOSTS_CORE"
"""Environment variable that adds what takes hours or adds little to the core set."""
OPTIONS = ("--allow-from", "10.231.0.0/16")
"""What the operator says beside bundle and host: who may call."""

Measured = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Installed:
    """The one installation from zero of a test run, and a disk to go on from."""

    operator: Operator
    bundle: Path
    outcome: Outcome
    seconds_to_first_answer: float
    guest_processor_s: float
    first_answer: Answered
    packets_left: int
    canary_packets: int
    files_before: frozenset[str]
    image: Path
    address: str
    api_key: str | None
    question: Path
    golden_transcript: str


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


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "hosts: booted Debian machines; needs root, debootstrap and systemd-nspawn")
    config.addinivalue_line("markers", f"beyond_core: left out with {CORE}=1, as every change is checked")
    config.addinivalue_line("markers", f"campaign: only with {CAMPAIGN}=1, as `make test-hosts-long` sets it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = reason_to_skip()
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.hosts)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(900))
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))
        elif item.get_closest_marker("campaign") is not None and not os.environ.get(CAMPAIGN):
            item.add_marker(pytest.mark.skip(reason=f"a long campaign; `make test-hosts-long` sets {CAMPAIGN}"))
        elif item.get_closest_marker("beyond_core") is not None and os.environ.get(CORE):
            item.add_marker(pytest.mark.skip(reason=f"takes minutes; runs unless {CORE} is set"))


@pytest.fixture(scope="session")
def base() -> Path:
    """Return the base image; guests that an aborted run has left behind are removed first."""
    for machine in existing():
        owner = machine.folder / OWNER
        if owner.exists() and not Path(f"/proc/{owner.read_text()}").exists():
            machine.destroy()
    return base_image()


@pytest.fixture(scope="session")
def shelf() -> Shelf:
    """Return the bundles."""
    return Shelf()


_FIGURES: list[dict[str, Any]] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for figure in _FIGURES:
        # A busy machine is no failure; who reads the figures judges them.
        value = "none" if figure["value"] is None else f"{figure['value']:.4g}"
        bar = "" if figure["bar"] is None else f"   (bar: {figure['bar']:g})"
        terminalreporter.write_line(f"measured: {figure['what']}: {value} {figure['unit']}{bar}")


@pytest.fixture(scope="session")
def measured() -> Iterator[Measured]:
    """Return a function that notes a figure; all are printed at the end and kept in the cache."""
    figures = _FIGURES

    def note(what: str, value: float | None, unit: str, *, bar: float | None = None) -> None:
        figures.append({"what": what, "value": value, "unit": unit, "bar": bar})

    yield note
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.strip()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with REPORT.open("a") as file:
        for figure in figures:
            file.write(json.dumps({"at": stamp, "commit": commit, "cores": os.cpu_count(), **figure}) + "\n")


class Guests:
    """The guests of one scope; all are destroyed at its end."""

    def __init__(self, letter: str) -> None:
        self._letter = letter
        self._made: list[Machine] = []

    def __call__(self, image: Path | None = None) -> Machine:
        """Make a guest, not yet booted, from the base or another image."""
        machine = Machine(f"t{os.getpid()}{self._letter}{len(self._made)}"[:12])
        self._made.append(machine)
        machine.create(image)
        (machine.folder / OWNER).write_text(str(os.getpid()))
        return machine

    def destroy(self) -> None:
        """Leave nothing of any of them, even where one resists."""
        failures = []
        for machine in self._made:
            try:
                machine.destroy()
            except Exception as error:  # noqa: BLE001 - the others have to go, too; raised below
                failures.append(error)
        if failures:
            raise ExceptionGroup("guests could not be destroyed", failures)


@pytest.fixture
def new_guest(base: Path) -> Iterator[Guests]:
    """Return a function that makes a guest for one test."""
    guests = Guests("f")
    yield guests
    guests.destroy()


@pytest.fixture(scope="module")
def new_module_guest(base: Path) -> Iterator[Guests]:
    """Return a function that makes a guest for the tests of one file."""
    guests = Guests("m")
    yield guests
    guests.destroy()


@pytest.fixture(scope="session")
def installed(base: Path, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Install from zero with one command, ask one question, and keep the disk. Every packet that leaves is counted."""
    guests = Guests("s")
    home = tmp_path_factory.mktemp("operator")
    image = home / "installed.img"
    try:
        yield _install(guests(), shelf, Operator(home, shelf.allowed_signers), image)
    finally:
        guests.destroy()
        image.unlink(missing_ok=True)


def _install(machine: Machine, shelf: Shelf, operator: Operator, image: Path) -> Installed:
    bundle, question = shelf.real(), shelf.question()
    machine.boot(default_route=True)
    files_before = frozenset(own_files(machine))
    begun, used_s = time.monotonic(), machine.processor_s
    with counting(machine.link) as left:
        outcome = operator.install(bundle, [machine], *OPTIONS).succeeded()
        api_key = operator.api_keys.get(machine.address)
        answer = ask(machine, question, api_key)
        seconds, guest_processor_s = time.monotonic() - begun, machine.processor_s - used_s
    with counting(machine.link) as canary:
        machine.ssh("timeout 2 python3 -c \"import socket; socket.getaddrinfo('canary.invalid', 1)\"", check=False)
    address = machine.address
    machine.poweroff()
    machine.save_disk(image)
    machine.destroy()
    return Installed(
        operator=operator,
        bundle=bundle,
        outcome=outcome,
        seconds_to_first_answer=seconds,
        guest_processor_s=guest_processor_s,
        first_answer=answer,
        packets_left=left[0],
        canary_packets=canary[0],
        files_before=files_before,
        image=image,
        address=address,
        api_key=api_key,
        question=question,
        golden_transcript=shelf.golden_transcript(),
    )


@pytest.fixture(scope="module")
def guest(installed: Installed, new_module_guest: Guests) -> Machine:
    """Return a booted guest with the real release, for the tests of one file."""
    machine = new_module_guest(installed.image)
    machine.boot(default_route=True)
    wait_until_ready(machine)
    return machine
