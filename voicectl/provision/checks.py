"""Whether a host is fit: facts and needs in, one finding for each check out. Pure; install and doctor share it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from voicectl.provision.facts import Facts
from voicectl.provision.needs import EARLIEST_CLOCK, GATE_PORT, Needs

Level = Literal["ok", "warn", "fail"]

MEMORY_TOLERANCE: Final = 0.9
"""Firmware and kernel keep some for themselves: a machine sold with 4 GB shows less."""
DISK_MARGIN_BYTES: Final = 500_000_000
LEAST_INODES: Final = 50_000
CLOCK_WARN_S: Final = 60.0
CLOCK_FAIL_S: Final = 300.0
OUR_UNITS: Final = "voicectl"
EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound

_YEAR_S: Final = 365.25 * 86_400
_NUMBER: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `fix` is the next step, empty when nothing has to be done."""

    name: str
    level: Level
    detail: str
    fix: str = ""


def run_checks(facts: Facts, needs: Needs, *, now: float | None = None) -> tuple[Finding, ...]:
    """Return what every check found. `now` is our own clock when the facts were collected; None when it is the same."""
    findings = [check(facts, needs) for check in _CHECKS]
    return (*findings, check_clock(facts, now))


def check_root(facts: Facts, needs: Needs) -> Finding:
    """The programs that change a host need root."""
    if facts.euid == 0:
        return Finding("root", "ok", "we are root")
    if not needs.as_root:
        return Finding("root", "warn", "not root: some checks see less", "run it with sudo")
    return Finding("root", "fail", "we are not root", "log in as root, or allow sudo without a password for this login")


def check_system(facts: Facts, needs: Needs) -> Finding:
    """The operating system is one that the bundle was made for."""
    wanted = " or ".join(f"{name} {version}" for name, version in needs.systems)
    found = facts.system.pretty or facts.system.id or "unknown"
    if any(facts.system.id == name and facts.system.version == version for name, version in needs.systems):
        return Finding("system", "ok", found)
    return Finding(
        "system", "fail", f"is {found}, needs {wanted}", "use a bundle built for this system, or another host"
    )


def check_architecture(facts: Facts, needs: Needs) -> Finding:
    """The processor speaks the language of the bundle."""
    if facts.system.arch == needs.arch:
        return Finding("architecture", "ok", needs.arch)
    detail = f"is {facts.system.arch or 'unknown'}, needs {needs.arch}"
    return Finding("architecture", "fail", detail, f"use a bundle built for {facts.system.arch or 'it'}")


def check_init(facts: Facts, needs: Needs) -> Finding:
    """systemd runs the host, because it runs the service."""
    if facts.system.has_systemd:
        return Finding("systemd", "ok", f"systemd {facts.system.systemd or 'of unknown version'}")
    detail = f"process 1 is {facts.system.init or 'unknown'}, not systemd"
    return Finding("systemd", "fail", detail, "use a host or virtual machine that boots with systemd")


def check_container(facts: Facts, needs: Needs) -> Finding:
    """A container shares its kernel, and with it what the service's sandbox can promise."""
    if facts.container is None:
        return Finding("container", "ok", "a machine of its own")
    fix = "for production use bare metal or a virtual machine"
    return Finding("container", "warn", f"runs in a container ({facts.container})", fix)


def check_python(facts: Facts, needs: Needs) -> Finding:
    """The system's Python runs the programs of the host, and what was compiled for it."""
    found, least = _numbers(facts.python), _numbers(needs.python)
    fits = found[: len(least)] == least if needs.exact_python else found >= least
    if fits:
        return Finding("python", "ok", facts.python)
    detail = f"/usr/bin/python3 is {facts.python}, needs {needs.python}{'' if needs.exact_python else ' or newer'}"
    return Finding("python", "fail", detail, "use the operating system that the bundle was built for")


def check_cpu(facts: Facts, needs: Needs) -> Finding:
    """The processor has the instructions that the libraries were compiled with."""
    missing = sorted(set(needs.cpu_flags) - facts.cpu.flags)
    model = facts.cpu.model or "unknown processor"
    if not missing:
        return Finding("cpu", "ok", model)
    fix = "use a processor of 2015 or later; for a virtual machine pass the host's processor through"
    return Finding("cpu", "fail", f"{model} has no {', '.join(missing)}", fix)


def check_cores(facts: Facts, needs: Needs) -> Finding:
    """Fewer cores than the profile was measured on make answers late, and nothing else."""
    found = facts.cpu.cores or 0
    if found >= needs.cores:
        return Finding("cores", "ok", f"{found} cores")
    fix = f"give it {needs.cores}, or expect fewer calls at a time than the profile allows"
    return Finding("cores", "warn", f"{found} cores, profile {needs.profile} is made for {needs.cores}", fix)


def check_memory(facts: Facts, needs: Needs) -> Finding:
    """The models and what they work with fit into memory."""
    sizes = [size for size in (facts.memory.total_bytes, facts.memory.limit_bytes) if size is not None]
    if not sizes:
        return Finding("memory", "warn", "cannot be told", "look at /proc/meminfo on the host")
    found = min(sizes)
    if found >= needs.memory_bytes * MEMORY_TOLERANCE:
        return Finding("memory", "ok", size_text(found))
    detail = f"{size_text(found)}, profile {needs.profile} needs {size_text(needs.memory_bytes)}"
    return Finding("memory", "fail", detail, "give it more memory, or choose a smaller profile")


def check_disk(facts: Facts, needs: Needs) -> Finding:
    """There is room for everything, also where folders share a file system, and programs may run from it."""
    wanted: dict[int, int] = {}
    folders: dict[int, list[str]] = {}
    is_there = needs.release is not None and needs.release.release_id == facts.installed.release
    for folder, size in needs.disk_bytes.items():
        disk = facts.disks.get(folder)
        if disk is None:
            return Finding("disk", "fail", f"{folder} is not there", f"mkdir {folder}")
        if disk.read_only:
            return Finding("disk", "fail", f"{folder} is mounted read-only", f"mount -o remount,rw {folder}")
        wanted[disk.device] = wanted.get(disk.device, 0) + (0 if is_there else size)
        folders.setdefault(disk.device, []).append(folder)
    opt = facts.disks.get("/opt")
    if opt is not None and opt.noexec:
        return Finding("disk", "fail", "/opt is mounted noexec: nothing runs from it", "mount -o remount,exec /opt")
    return _room(facts, wanted, folders)


def check_port(facts: Facts, needs: Needs) -> Finding:
    """Nobody else listens where the service is going to."""
    for port, bind in ((needs.port, needs.bind_host), (GATE_PORT, "127.0.0.1")):
        for listener in facts.listeners:
            if listener.port != port or (listener.unit or "").startswith(OUR_UNITS):
                continue
            if listener.address in EVERYWHERE or bind in EVERYWHERE or listener.address == bind:
                owner = f" by {listener.program}" if listener.program else ""
                unit = f" ({listener.unit})" if listener.unit else ""
                fix = "stop that program" + (", or choose another port: --port" if port == needs.port else "")
                return Finding("port", "fail", f"{port} is taken{owner}{unit}", fix)
    return Finding("port", "ok", f"{needs.port} is free or ours")


def check_packages(facts: Facts, needs: Needs) -> Finding:
    """The package manager is at hand. What it is in the middle of is waited for, or brought to its end."""
    missing = [tool for tool in ("apt-get", "dpkg", "systemctl") if not facts.tools.get(tool, True)]
    if missing:
        return Finding("packages", "fail", f"{', '.join(missing)} not found", "use a Debian host")
    if facts.packages.locked:
        fix = "wait for it, or stop it: systemctl stop unattended-upgrades"
        return Finding("packages", "warn", "another program is installing packages; we wait for it", fix)
    if facts.packages.broken:
        return Finding(
            "packages", "warn", "an earlier installation was broken off; we finish it", "dpkg --configure -a"
        )
    return Finding("packages", "ok", "the package manager is idle")


def check_gpu(facts: Facts, needs: Needs) -> Finding:
    """The card that the profile is made for is there, with enough memory."""
    names = ", ".join(gpu.name for gpu in facts.gpu.names) or f"{len(facts.gpu.cards)} NVIDIA cards"
    if needs.gpu is None:
        found = names if facts.gpu.cards or facts.gpu.names else "none"
        return Finding("gpu", "ok", f"{found}; profile {needs.profile} uses none")
    if not facts.gpu.cards and not facts.gpu.names:
        fix = "look at lspci -d 10de: ; a virtual machine needs the card passed through"
        return Finding("gpu", "fail", f"no NVIDIA card, profile {needs.profile} needs one", fix)
    largest = max((gpu.memory_bytes for gpu in facts.gpu.names), default=None)
    if largest is not None and largest < needs.gpu.memory_bytes:
        detail = f"{names}: {size_text(largest)}, profile {needs.profile} needs {size_text(needs.gpu.memory_bytes)}"
        return Finding("gpu", "fail", detail, "choose a smaller profile: voicectl profile list")
    return Finding("gpu", "ok", names)


def check_driver(facts: Facts, needs: Needs) -> Finding:
    """The card's driver is there and new enough; an installation brings one where there is none."""
    gpu = facts.gpu
    if needs.gpu is None or not (gpu.cards or gpu.names):
        return Finding("driver", "ok", f"{gpu.driver or 'none'}; not needed")
    if gpu.driver is None:
        what = "nouveau holds the card" if gpu.nouveau else "no NVIDIA driver"
        fix = "install places the pinned one; a reboot is needed before it goes on (exit 8)"
        return Finding("driver", "warn", what, fix)
    least = needs.gpu.min_driver
    if least is not None and _numbers(gpu.driver) < _numbers(least):
        return Finding("driver", "fail", f"{gpu.driver}, needs {least} or newer", "update the driver and reboot")
    if not gpu.nodes:
        return Finding("driver", "warn", f"{gpu.driver}, but no /dev/nvidia*", "install makes them before the service")
    return Finding("driver", "ok", gpu.driver)


def check_audio(facts: Facts, needs: Needs) -> Finding:
    """The service needs no sound card; only `voicectl talk` with a microphone does."""
    cards = ", ".join(facts.audio)
    return Finding("audio", "ok", cards or "no sound card; only `voicectl talk` with a microphone needs one")


def check_release(facts: Facts, needs: Needs) -> Finding:
    """The release is not older than what is active, and can follow it."""
    active = facts.installed.active()
    name, wanted = facts.installed.release, needs.release
    if name is None:
        if needs.must_be_installed:
            return Finding("release", "fail", "nothing is installed here", "use voicectl install")
        return Finding("release", "ok", "nothing is installed yet")
    serial, version = active.get("serial"), str(active.get("version") or "")
    if wanted is None or serial is None or wanted.release_id == name:
        return Finding("release", "ok", f"{name} is active")
    if int(serial) > wanted.serial and not wanted.allow_downgrade:
        detail = f"{wanted.release_id} (serial {wanted.serial}) is older than {name} (serial {serial}), which is active"
        return Finding("release", "fail", detail, "go back with voicectl rollback, or force it with --allow-downgrade")
    least = wanted.min_from_version
    if least is not None and _numbers(version) < _numbers(least):
        detail = f"{wanted.version} can follow {least} or newer, {version} is active"
        return Finding("release", "fail", detail, f"install a release between them first, at least {least}")
    return Finding("release", "ok", f"{name} is active, {wanted.release_id} can follow")


def check_clock(facts: Facts, now: float | None) -> Finding:
    """The clock is right enough for keys, signatures and records, as far as we can know."""
    found = facts.clock.now
    shown = f"{datetime.fromtimestamp(found, UTC):%Y-%m-%d %H:%M} UTC"
    set_it = "set it on the host, then hwclock --systohc"
    if found < EARLIEST_CLOCK:
        return Finding("clock", "fail", f"says {shown}, before this release existed", f"date -u -s '…': {set_it}")
    offset = 0.0 if now is None else found - now
    if abs(offset) > CLOCK_FAIL_S:
        detail = f"says {shown}, {_span_text(abs(offset))} {'ahead of' if offset > 0 else 'behind'} this machine"
        right = f"{datetime.fromtimestamp(now or found, UTC):%Y-%m-%d %H:%M:%S}"
        return Finding("clock", "fail", detail, f"date -u -s '{right}' if this machine is right: {set_it}")
    if abs(offset) > CLOCK_WARN_S:
        return Finding("clock", "warn", f"{_span_text(abs(offset))} off this machine's", "give it a time server")
    return Finding("clock", "ok", shown)


def size_text(num_bytes: float) -> str:
    """Return a size as people write it."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


_CHECKS: Final[tuple[Callable[[Facts, Needs], Finding], ...]] = (
    check_root,
    check_system,
    check_architecture,
    check_init,
    check_container,
    check_python,
    check_cpu,
    check_cores,
    check_memory,
    check_disk,
    check_port,
    check_packages,
    check_gpu,
    check_driver,
    check_audio,
    check_release,
)


def _room(facts: Facts, wanted: dict[int, int], folders: dict[int, list[str]]) -> Finding:
    by_device = {disk.device: disk for disk in facts.disks.values()}
    for device, size in wanted.items():
        disk, places = by_device[device], " and ".join(folders[device])
        if size and disk.free_bytes < size + DISK_MARGIN_BYTES:
            detail = f"{size_text(disk.free_bytes)} free below {places}, needs {size_text(size + DISK_MARGIN_BYTES)}"
            return Finding("disk", "fail", detail, "free some room, or put a larger disk there")
        if disk.free_inodes is not None and disk.free_inodes < LEAST_INODES and size:
            detail = f"{disk.free_inodes} files can be made below {places}, needs {LEAST_INODES}"
            return Finding("disk", "fail", detail, "remove small files, or put another file system there")
    opt = facts.disks.get("/opt")
    return Finding("disk", "ok", f"{size_text(opt.free_bytes)} free below /opt" if opt else "not looked at")


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(text))


def _span_text(seconds: float) -> str:
    for unit, length in (("years", _YEAR_S), ("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
