"""What cannot be installed is refused before anything changes, with the reason, the next step and an exit code."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.hosts.base import cache_folder, run
from tests.hosts.conftest import OPTIONS, Guests, Installed
from tests.hosts.invariant import assert_serves_one_of
from tests.hosts.looking import active_release, own_files, wait_until_ready
from tests.hosts.machine import Machine, operator_key
from tests.hosts.operator import PORT, Operator, Outcome
from tests.hosts.releases import GOOD, OTHER_ARCH, OTHER_PROCESSOR, OTHER_SYSTEM, Change, Shelf


@pytest.fixture(scope="module")
def fresh(new_module_guest: Guests) -> Machine:
    """Return a booted guest on which nothing may be changed by any of the tests that share it."""
    machine = new_module_guest()
    machine.boot()
    return machine


@pytest.fixture
def untouched(fresh: Machine) -> "set[str]":
    return own_files(fresh)


def changes(machine: Machine, before: set[str]) -> set[str]:
    """Return the paths that are there now and were not; Ansible's own empty working folder is no change."""
    return (own_files(machine) ^ before) - {"/root/.ansible", "/root/.ansible/tmp"}


@pytest.fixture(scope="module")
def operator(shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return Operator(tmp_path_factory.mktemp("refused"), shelf.allowed_signers)


def assert_refused(outcome: Outcome, code: int, *words: str) -> None:
    """Assert that a command failed with `code`, named the cause with all `words`, and told what to do."""
    told = f"{outcome.error}\n{outcome.document}\n{outcome.told}"
    assert outcome.code == code, told
    for word in words:
        assert word.casefold() in told.casefold(), told
    assert "hint" in told
    assert "Traceback" not in told


def test_host_that_does_not_answer_is_7(operator: Operator, shelf: Shelf) -> None:
    # Nothing listens there: an address of this test host's own loopback.
    bundle = ["--bundle", str(shelf.real()), "--allowed-signers", str(shelf.allowed_signers)]
    outcome = operator.run("install", *bundle, "--key", str(operator_key()), "root@127.77.0.1:1")
    assert_refused(outcome, 7, "127.77.0.1")


def test_wrong_key_is_7(operator: Operator, shelf: Shelf, fresh: Machine, untouched: set[str], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(wrong))
    operator.trust([fresh])
    reached = ["--key", str(wrong), "--known-hosts", str(operator.known_hosts)]
    bundle = ["--bundle", str(shelf.real()), "--allowed-signers", str(shelf.allowed_signers)]
    outcome = operator.run("install", *bundle, *reached, f"root@{fresh.address}")
    assert_refused(outcome, 7, "permission denied")
    assert changes(fresh, untouched) == set()


def test_another_host_in_its_place_is_7(operator: Operator, shelf: Shelf, fresh: Machine, tmp_path: Path) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other"))
    kind, value, *_ = (tmp_path / "other.pub").read_text().split()
    known = tmp_path / "known_hosts"
    known.write_text(f"{fresh.address} {kind} {value}\n")
    reached = ["--key", str(operator_key()), "--known-hosts", str(known)]
    bundle = ["--bundle", str(shelf.real()), "--allowed-signers", str(shelf.allowed_signers)]
    outcome = operator.run("install", *bundle, *reached, f"root@{fresh.address}")
    assert_refused(outcome, 7, "host key")


def test_login_that_cannot_become_root_is_3(operator: Operator, shelf: Shelf, new_guest: Guests) -> None:
    machine = new_guest()
    machine.boot()
    machine.ssh("useradd -m worker && cp -r /root/.ssh /home/worker/ && chown -R worker /home/worker/.ssh")
    operator.trust([machine])
    reached = ["--key", str(operator_key()), "--known-hosts", str(operator.known_hosts)]
    bundle = ["--bundle", str(shelf.real()), "--allowed-signers", str(shelf.allowed_signers)]
    outcome = operator.run("install", *bundle, *reached, f"worker@{machine.address}")
    assert_refused(outcome, 3, "root")


def test_all_that_is_wrong_with_a_host_is_told_at_once(operator: Operator, shelf: Shelf, new_guest: Guests) -> None:
    machine = new_guest()
    machine.boot()
    machine.ssh("sed -i 's/12/11/' /usr/lib/os-release")
    machine.ssh(
        f'systemd-run --quiet --unit=squatter python3 -c \'import socket,time; s=socket.create_server(("", {PORT})); '
        "time.sleep(600)'"
    )
    free_kb = int(machine.read("df --output=avail / | tail -1"))
    machine.ssh(f"fallocate -l {(free_kb - 200_000) * 1024} /root/full")
    outcome = operator.install(shelf.real(), [machine], *OPTIONS)
    assert_refused(outcome, 3)
    failed = {check["name"]: check for check in outcome.document["checks"][machine.address] if check["level"] == "fail"}
    assert len(failed) >= 3, failed
    told = " ".join(f"{check['detail']} {check['fix']}" for check in failed.values()).casefold()
    for word in ("debian", "11", str(PORT), "squatter", "free"):
        assert word in told, told
    assert all(check["fix"] for check in failed.values())
    assert active_release(machine) is None


def test_clock_that_is_years_off_is_3(operator: Operator, shelf: Shelf, new_guest: Guests) -> None:
    library = _false_clock()
    machine = new_guest()
    machine.boot()
    machine.copy_in([library], "/usr/lib/false_clock.so")
    # Whoever asks Python for the time is told one of three years ago.
    machine.ssh(
        "rm /usr/bin/python3; printf '#!/bin/sh\\nFAKETIME=-3y LD_PRELOAD=/usr/lib/false_clock.so "
        'exec /usr/bin/python3.11 "$@"\\n\' > /usr/bin/python3; chmod 755 /usr/bin/python3'
    )
    seen, right = int(machine.read("python3 -c 'import time; print(int(time.time()))'")), time.time()
    assert right - seen > 2 * 365 * 86_400
    assert_refused(operator.install(shelf.real(), [machine], *OPTIONS), 3, "clock")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        pytest.param(OTHER_ARCH, "aarch64", id="architecture"),
        pytest.param(OTHER_SYSTEM, "debian", id="system", marks=pytest.mark.campaign),
        pytest.param(OTHER_PROCESSOR, "no_such_flag", id="processor", marks=pytest.mark.campaign),
    ],
)
def test_bundle_for_another_kind_of_host_is_3(
    operator: Operator, shelf: Shelf, fresh: Machine, untouched: set[str], change: Change, word: str
) -> None:
    assert_refused(operator.install(shelf.changed(change), [fresh], *OPTIONS), 3, word)
    assert changes(fresh, untouched) == set()


def test_profile_that_the_bundle_does_not_have_is_3(
    operator: Operator, shelf: Shelf, fresh: Machine, untouched: set[str]
) -> None:
    outcome = operator.install(shelf.real(), [fresh], *OPTIONS, "--profile", "gpu-24g")
    assert_refused(outcome, 3, "gpu-24g")
    assert changes(fresh, untouched) == set()


def test_unknown_signer_is_4(operator: Operator, shelf: Shelf, fresh: Machine, untouched: set[str]) -> None:
    assert_refused(operator.install(shelf.signed_by_stranger(), [fresh], *OPTIONS), 4, "signed by nobody")
    assert changes(fresh, untouched) == set()


def test_expired_signer_is_4(shelf: Shelf, fresh: Machine, tmp_path: Path) -> None:
    signers = tmp_path / "expired_signers"
    signers.write_text(
        shelf.allowed_signers.read_text().replace("release ", 'release valid-before="20200101",', 1).replace(",n", ",n")
    )
    outcome = Operator(tmp_path / "home", signers).install(shelf.real(), [fresh], *OPTIONS)
    assert_refused(outcome, 4, "expired")


def test_altered_bundle_is_4(operator: Operator, shelf: Shelf, fresh: Machine, untouched: set[str]) -> None:
    altered = cache_folder() / "bundles" / "altered.vcb"
    shutil.copy(shelf.real(), altered)
    try:
        with altered.open("r+b") as file:
            file.seek(altered.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 1]))
        assert_refused(operator.install(altered, [fresh], *OPTIONS), 4, "altered")
    finally:
        altered.unlink()
    assert changes(fresh, untouched) == set()


def test_check_tells_what_would_change_and_changes_nothing(
    operator: Operator, shelf: Shelf, fresh: Machine, untouched: set[str]
) -> None:
    outcome = operator.install(shelf.real(), [fresh], *OPTIONS, "--check").succeeded()
    assert outcome.host(fresh)["changed"] > 5
    assert fresh.address not in operator.api_keys
    assert changes(fresh, untouched) == set()
    assert active_release(fresh) is None


def test_second_command_on_the_same_host_is_11(fresh: Machine, shelf: Shelf, tmp_path: Path) -> None:
    operator = Operator(tmp_path, shelf.allowed_signers)
    first = operator.start("install", shelf.real(), [fresh], *OPTIONS, "--check")
    try:
        deadline = time.monotonic() + 60
        while not any(lock.stat().st_size for lock in tmp_path.rglob("*.lock")):
            assert first.poll() is None, "the first command ended before it held the host"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert_refused(operator.install(shelf.real(), [fresh], *OPTIONS), 11, fresh.address)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()


@pytest.mark.campaign
def test_release_program_at_work_on_the_host_is_11(new_guest: Guests, installed: Installed, tmp_path: Path) -> None:
    machine = new_guest(installed.image)
    machine.boot()
    machine.ssh("systemd-run --quiet --unit=holder flock -x /run/voicectl/release.lock sleep 240")
    outcome = installed.operator.on("rollback", [machine])
    assert outcome.code == 11, outcome.error or outcome.document


def test_configuration_edited_by_hand_is_kept_and_named(new_guest: Guests, installed: Installed, shelf: Shelf) -> None:
    machine = new_guest(installed.image)
    machine.boot()
    wait_until_ready(machine)
    machine.ssh("printf 'overload:\\n  enabled: false\\n' >> /etc/voicectl/host.yaml")
    machine.ssh("mkdir -p /etc/systemd/system/voicectl.service.d")
    machine.ssh("printf '[Service]\\nNice=5\\n' > /etc/systemd/system/voicectl.service.d/ours.conf")
    edited = machine.read("cat /etc/voicectl/host.yaml")
    status = installed.operator.on("status", [machine])
    assert_drift(status, "host.yaml", "ours.conf")
    again = installed.operator.install(installed.bundle, [machine], *OPTIONS)
    assert again.code in (0, 12), again.error or again.document
    assert machine.read("cat /etc/voicectl/host.yaml") == edited
    assert "Nice=5" in machine.read("cat /etc/systemd/system/voicectl.service.d/ours.conf")
    assert installed.operator.on("status", [machine], "--accept").code == 0
    program = machine.read("ls /opt/voicectl/current/venv/lib/python3*/site-packages/voicectl/__main__.py")
    machine.ssh(f"printf '# altered\\n' >> {program}")
    assert installed.operator.on("status", [machine]).code == 0
    assert_drift(installed.operator.on("status", [machine], "--verify"), "__main__.py")
    machine.ssh(f"sed -i '$ d' {program}")
    assert installed.operator.on("status", [machine], "--verify").code == 0
    assert_serves_one_of(machine, {shelf.release_id(installed.bundle)}, installed.question, installed.api_key)


def assert_drift(outcome: Outcome, *names: str) -> None:
    """Assert exit 12 with all `names`."""
    assert outcome.code == 12, outcome.document
    for name in names:
        assert name in str(outcome.document), outcome.document


@pytest.mark.campaign
def test_disk_that_fills_up_while_it_is_written_fails_and_is_made_good(
    new_guest: Guests, installed: Installed, shelf: Shelf
) -> None:
    machine = new_guest(installed.image)
    machine.boot()
    old, newer = shelf.release_id(installed.bundle), shelf.changed(GOOD)
    free_kb = int(machine.read("df --output=avail / | tail -1"))
    # Another program takes the space once the preflight has found enough of it.
    watch = f"while ! ls -d /opt/voicectl/releases/{GOOD.version}-* 2>/dev/null; do sleep 0.05; done"
    fill = f"fallocate -l {(free_kb - 20_000) * 1024} /root/full"
    machine.ssh(f"systemd-run --quiet --unit=filler sh -c '{watch}; {fill}'")
    outcome = installed.operator.upgrade(newer, [machine], *OPTIONS)
    assert outcome.code in (3, 6), outcome.document
    assert "space" in f"{outcome.error} {outcome.document} {outcome.told}".casefold()
    assert_serves_one_of(machine, {old}, installed.question, installed.api_key)
    machine.ssh("rm /root/full")
    installed.operator.upgrade(newer, [machine], *OPTIONS).succeeded()
    assert_serves_one_of(machine, {shelf.release_id(newer)}, installed.question, installed.api_key)


def _false_clock() -> Path:
    """Return a library that shows programs another time; fetched as a Debian package, once."""
    target = cache_folder() / "false_clock.so"
    if not target.exists():
        folder = cache_folder() / "false_clock"
        folder.mkdir(exist_ok=True)
        subprocess.run(["apt-get", "download", "-qq", "libfaketime"], cwd=folder, check=True, capture_output=True)
        package = next(folder.glob("libfaketime_*.deb"))
        run("dpkg-deb", "-x", str(package), str(folder))
        shutil.copy(next(folder.rglob("libfaketime.so.1")), target)
        shutil.rmtree(folder)
    return target
