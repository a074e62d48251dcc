"""Each check says what is wrong, with values and a fix; all of them are said at once."""

import dataclasses
from typing import Any

import pytest

from voicectl.provision.checks import Finding, run_checks
from voicectl.provision.facts import (
    Clock,
    Cpu,
    Disk,
    Facts,
    Gpu,
    GpuName,
    Installed,
    Listener,
    Memory,
    Packages,
    System,
)
from voicectl.provision.needs import EARLIEST_CLOCK, GpuNeeds, Needs, ReleaseNeeds

NOW = EARLIEST_CLOCK + 1e6
GOOD = Facts(
    python="3.11.2",
    euid=0,
    clock=Clock(NOW),
    system=System("debian", "12", "Debian GNU/Linux 12", "x86_64", "6.1", "gw1", "systemd", True, 252),
    cpu=Cpu("Some processor", frozenset({"avx2", "fma", "f16c"}), 8),
    memory=Memory(16_000_000_000, 15_000_000_000),
    disks={
        "/opt": Disk(1, 50_000_000_000, 1_000_000),
        "/var/lib": Disk(1, 50_000_000_000, 1_000_000),
        "/root": Disk(1, 50_000_000_000, 1_000_000),
    },
    tools={"apt-get": True, "dpkg": True, "systemctl": True},
)
NEEDS = Needs(
    cores=2,
    memory_bytes=4_000_000_000,
    disk_bytes={"/opt": 2_000_000_000, "/var/lib": 3_000_000_000, "/root": 100},
    systems=(("debian", "12"),),
)
H200 = Needs(profile="gpu-h200", gpu=GpuNeeds("H200", 139_000_000_000, "570.86"))
CARD = {"slot": "0000:01:00.0", "device": "0x2335"}


def found(name: str, facts: Facts = GOOD, needs: Needs = NEEDS, now: float | None = NOW) -> Finding:
    return next(finding for finding in run_checks(facts, needs, now=now) if finding.name == name)


def host(**changes: Any) -> Facts:
    return dataclasses.replace(GOOD, **changes)


def test_good_host_passes_every_check() -> None:
    findings = run_checks(GOOD, NEEDS, now=NOW)
    assert {finding.level for finding in findings} == {"ok"}
    assert len({finding.name for finding in findings}) == len(findings) == 17


def test_everything_that_is_wrong_is_said_at_once_each_with_its_fix() -> None:
    bad = host(
        euid=1000,
        python="3.9.2",
        system=System("ubuntu", "20.04", "Ubuntu 20.04", "aarch64", "5.4", "x", "init", False),
        cpu=Cpu("Old", frozenset({"sse2"}), 1),
        memory=Memory(1_000_000_000),
        disks={},
        listeners=(Listener("0.0.0.0", 8080, "nginx", "nginx.service"),),
        clock=Clock(0.0),
        tools={"apt-get": False},
        container="docker",
    )
    findings = run_checks(bad, NEEDS, now=NOW)
    refused = {finding.name for finding in findings if finding.level == "fail"}
    assert refused == {
        *("root", "system", "architecture", "systemd", "python", "cpu", "memory", "disk", "port", "packages", "clock"),
    }
    assert all(finding.fix for finding in findings if finding.level != "ok")


def test_system_names_what_is_there_and_what_is_needed() -> None:
    finding = found("system", host(system=dataclasses.replace(GOOD.system, version="11", pretty="Debian 11")))
    assert finding.detail == "is Debian 11, needs debian 12"


@pytest.mark.parametrize(
    ("version", "exact", "level"),
    [("3.11.2", True, "ok"), ("3.13.1", True, "fail"), ("3.13.1", False, "ok"), ("3.9.2", False, "fail")],
)
def test_compiled_packages_need_their_own_python(version: str, exact: bool, level: str) -> None:
    needs = dataclasses.replace(NEEDS, python="3.11", exact_python=exact)
    assert found("python", host(python=version), needs).level == level


def test_missing_instructions_are_named() -> None:
    finding = found("cpu", host(cpu=Cpu("Old one", frozenset({"f16c"}), 4)))
    assert finding.level == "fail"
    assert finding.detail == "Old one has no avx2, fma"


def test_few_cores_only_warn() -> None:
    assert found("cores", host(cpu=Cpu("x", GOOD.cpu.flags, 1))).level == "warn"


def test_memory_as_sold_is_enough_though_the_kernel_shows_less() -> None:
    assert found("memory", host(memory=Memory(3_700_000_000))).level == "ok"
    assert found("memory", host(memory=Memory(3_500_000_000))).level == "fail"


def test_limit_of_a_control_group_counts_as_the_memory() -> None:
    assert found("memory", host(memory=Memory(64_000_000_000, limit_bytes=2_000_000_000))).level == "fail"


def test_folders_on_one_file_system_share_its_room() -> None:
    tight = {folder: Disk(1, 5_400_000_000, 1_000_000) for folder in GOOD.disks}
    finding = found("disk", host(disks=tight))
    assert finding.level == "fail"
    assert "needs 5.5 GB" in finding.detail
    apart = {"/opt": Disk(1, 3_000_000_000), "/var/lib": Disk(2, 4_000_000_000), "/root": Disk(1, 3_000_000_000)}
    assert found("disk", host(disks=apart)).level == "ok"


def test_release_that_is_already_there_needs_no_room() -> None:
    full = {folder: Disk(1, 1_000) for folder in GOOD.disks}
    needs = dataclasses.replace(NEEDS, release=ReleaseNeeds("old-1", "1.1.0", 7))
    assert found("disk", host(disks=full, installed=installed(7)), needs).level == "ok"


@pytest.mark.parametrize(
    ("disk", "words"),
    [
        (Disk(1, 10**12, read_only=True), "read-only"),
        (Disk(1, 10**12, noexec=True), "noexec"),
        (Disk(1, 10**12, free_inodes=10), "10 files"),
    ],
)
def test_file_system_that_cannot_be_used_is_refused(disk: Disk, words: str) -> None:
    finding = found("disk", host(disks=dict.fromkeys(GOOD.disks, disk)))
    assert finding.level == "fail"
    assert words in finding.detail


@pytest.mark.parametrize(
    ("listener", "level"),
    [
        (Listener("0.0.0.0", 8080, "nginx", "nginx.service"), "fail"),
        (Listener("::", 8080), "fail"),
        (Listener("127.0.0.1", 18080, "python3", "x.service"), "fail"),
        (Listener("0.0.0.0", 8080, "python", "voicectl.service"), "ok"),
        (Listener("127.0.0.1", 18080, "python", "voicectl-gate@1.0-ab.service"), "ok"),
        (Listener("0.0.0.0", 9999, "x"), "ok"),
    ],
)
def test_port_is_free_or_ours(listener: Listener, level: str) -> None:
    assert found("port", host(listeners=(listener,))).level == level


def test_listener_on_another_address_is_not_in_the_way() -> None:
    needs = dataclasses.replace(NEEDS, bind_host="10.0.0.5")
    assert found("port", host(listeners=(Listener("127.0.0.1", 8080, "x"),)), needs).level == "ok"


def test_busy_and_broken_package_manager_only_warn_because_a_resumed_run_has_to_get_through() -> None:
    assert found("packages", host(packages=Packages(locked=True))).level == "warn"
    assert found("packages", host(packages=Packages(broken=True))).level == "warn"


@pytest.mark.parametrize(("offset_s", "level"), [(0, "ok"), (-90, "warn"), (-400, "fail"), (3 * 365 * 86400, "fail")])
def test_clock_is_compared_with_ours(offset_s: float, level: str) -> None:
    assert found("clock", host(clock=Clock(NOW + offset_s))).level == level


def test_clock_years_off_says_how_far_and_where_to() -> None:
    finding = found("clock", host(clock=Clock(NOW + 4 * 365.25 * 86400)))
    assert "4 years ahead of this machine" in finding.detail
    assert "date -u -s" in finding.fix


def test_clock_before_this_release_is_wrong_whatever_ours_says() -> None:
    assert found("clock", host(clock=Clock(1e9)), now=None).level == "fail"


@pytest.mark.parametrize(
    ("gpu", "name", "level"),
    [
        (Gpu(), "gpu", "fail"),
        (Gpu(cards=(CARD,)), "gpu", "ok"),
        (Gpu(cards=(CARD,), names=(GpuName("NVIDIA L40S", 48_000_000_000),)), "gpu", "fail"),
        (Gpu(cards=(CARD,)), "driver", "warn"),
        (Gpu(cards=(CARD,), nouveau=True), "driver", "warn"),
        (Gpu(cards=(CARD,), driver="550.54.15", nodes=("/dev/nvidia0",)), "driver", "fail"),
        (Gpu(cards=(CARD,), driver="570.86.10", nodes=("/dev/nvidia0",)), "driver", "ok"),
        (Gpu(cards=(CARD,), driver="570.86.10"), "driver", "warn"),
    ],
)
def test_gpu_profile_needs_card_memory_and_driver(gpu: Gpu, name: str, level: str) -> None:
    assert found(name, host(gpu=gpu), H200).level == level


def test_gpu_of_a_host_whose_profile_uses_none_is_no_matter() -> None:
    assert found("gpu", host(gpu=Gpu(nouveau=True))).level == "ok"
    assert found("driver", host(gpu=Gpu(nouveau=True))).level == "ok"


def installed(serial: int, version: str = "1.1.0") -> Installed:
    release = {"serial": serial, "version": version}
    return Installed("old-1", {"active": "old-1", "releases": {"old-1": release}})


@pytest.mark.parametrize(
    ("before", "wanted", "level"),
    [
        (Installed(), ReleaseNeeds("new-1", "1.2.0", 7), "ok"),
        (installed(5), ReleaseNeeds("new-1", "1.2.0", 7), "ok"),
        (installed(9), ReleaseNeeds("new-1", "1.2.0", 7), "fail"),
        (installed(9), ReleaseNeeds("new-1", "1.2.0", 7, allow_downgrade=True), "ok"),
        (installed(7), ReleaseNeeds("old-1", "1.1.0", 7), "ok"),
        (installed(5, "1.9.0"), ReleaseNeeds("new-1", "1.12.0", 7, min_from_version="1.10"), "fail"),
        (installed(5, "1.10.1"), ReleaseNeeds("new-1", "1.12.0", 7, min_from_version="1.10"), "ok"),
    ],
)
def test_release_may_follow_what_is_active(before: Installed, wanted: ReleaseNeeds, level: str) -> None:
    needs = dataclasses.replace(NEEDS, release=wanted)
    assert found("release", host(installed=before), needs).level == level


def test_upgrade_needs_something_to_upgrade() -> None:
    needs = dataclasses.replace(NEEDS, must_be_installed=True)
    assert found("release", needs=needs).level == "fail"


def test_container_with_systemd_only_warns() -> None:
    assert found("container", host(container="systemd-nspawn")).level == "warn"


def test_without_root_a_look_is_possible_and_an_installation_is_not() -> None:
    assert found("root", host(euid=1000)).level == "fail"
    assert found("root", host(euid=1000), dataclasses.replace(NEEDS, as_root=False)).level == "warn"
