"""What the other tests rest on: guests are cut off, lose power like real machines, and leave nothing behind."""

import subprocess
from pathlib import Path

import pytest

from tests.hosts.base import RELEASE
from tests.hosts.conftest import Guests
from tests.hosts.link import counting
from tests.hosts.machine import Machine
from voicectl.weights.bundle.targets import find_target


@pytest.fixture(scope="module")
def guest(new_module_guest: Guests) -> Machine:
    machine = new_module_guest()
    machine.boot(default_route=True)
    return machine


def test_guest_is_a_whole_debian_with_nothing_of_ours(guest: Machine) -> None:
    assert guest.read("systemctl is-system-running --wait") == "running"
    assert f'VERSION_ID="{find_target(RELEASE).os_version}"' in guest.read("cat /etc/os-release")
    assert guest.read("ls -d /opt/voicectl /etc/voicectl /var/lib/voicectl 2>/dev/null || true") == ""
    assert guest.ssh("command -v nft ansible pip", check=False).returncode != 0


def test_guest_without_a_route_reaches_nothing(new_guest: Guests) -> None:
    machine = new_guest()
    machine.boot()
    routes = machine.read("ip route").splitlines()
    assert [route.split()[0] for route in routes] == [f"10.231.{machine.link.number}.0/30"]
    refused = machine.ssh(
        "python3 -c \"import socket; socket.create_connection(('198.51.100.1', 443), 2)\"", check=False
    )
    assert "Network is unreachable" in refused.stderr
    assert machine.link.packets_left() == 0


def test_answering_the_test_host_is_not_counted_as_leaving(guest: Machine) -> None:
    answered = guest.link.packets_answered()
    with counting(guest.link) as left:
        guest.read("seq 100000")
    assert left == [0]
    assert guest.link.packets_answered() > answered


@pytest.mark.parametrize(
    "canary",
    [
        "socket.create_connection(('198.51.100.1', 443), 1)",
        "socket.getaddrinfo('canary.invalid', 443)",
        "socket.create_connection((host, 22), 1)",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'canary', (host, 514))",
    ],
    ids=["connection", "name", "connection-to-the-test-host", "datagram-to-the-test-host"],
)
def test_watch_counts_a_canary(guest: Machine, canary: str) -> None:
    with counting(guest.link) as left:
        guest.ssh(f"timeout 2 python3 -c \"import socket; host = '{guest.link.host}'; {canary}\"", check=False)
    assert left[0] > 0


def test_services_of_a_guest_are_really_confined(guest: Machine) -> None:
    script = f"import socket; socket.create_connection(('{guest.address}', 22), 1)"
    allowed = guest.ssh(f'systemd-run --quiet --pipe --wait python3 -c "{script}"', check=False)
    denied = guest.ssh(f'systemd-run --quiet --pipe --wait -p IPAddressDeny=any python3 -c "{script}"', check=False)
    assert (allowed.returncode, denied.returncode) == (0, 1)
    assert "timed out" in denied.stderr


def test_power_loss_keeps_what_was_flushed_and_nothing_else(new_guest: Guests) -> None:
    machine = new_guest()
    machine.boot()
    machine.ssh("sync; echo flushed > /root/kept; sync /root/kept /root; echo written > /root/lost")
    assert machine.read("cat /root/lost") == "written"
    machine.lose_power()
    assert not machine.running
    machine.boot()
    assert machine.read("cat /root/kept") == "flushed"
    assert machine.ssh("cat /root/lost", check=False).stdout == ""


def test_power_loss_of_one_guest_is_none_of_another(new_guest: Guests) -> None:
    first, second = new_guest(), new_guest()
    first.boot()
    second.boot()
    for script in ("echo flushed > /root/kept; sync", "test $(cat /root/kept) = flushed"):
        first.ssh(script)
        first.lose_power()
        first.boot()
    assert first.read("cat /root/kept") == "flushed"
    assert second.read("systemctl is-system-running --wait") == "running"


def test_shutdown_keeps_everything(new_guest: Guests) -> None:
    machine = new_guest()
    machine.boot()
    machine.ssh("echo written > /root/kept")
    machine.poweroff()
    assert not machine.running
    machine.boot()
    assert machine.read("cat /root/kept") == "written"


def test_destroyed_guest_leaves_nothing(new_guest: Guests) -> None:
    machine = new_guest()
    machine.boot()
    device, folder = machine.link.device, machine.folder
    machine.destroy()
    assert not folder.exists()
    assert not Path(f"/sys/class/net/{device}").exists()
    assert str(folder) not in Path("/proc/self/mounts").read_text()
    assert device not in subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in subprocess.run(["losetup", "--list"], capture_output=True, text=True, check=True).stdout
    assert not list(Path("/sys/fs/cgroup").glob(f"**/voicectl-hosts-{machine.name}"))
