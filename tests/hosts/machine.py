"""One guest: a Debian server of its own with a disk, a link and SSH, which can lose power like a real one."""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tests.hosts.base import CommandFailed, base_image, cache_folder, run
from tests.hosts.cgroup import GuestGroup
from tests.hosts.link import Link, claim_link, release_link

BOOT_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 30.0
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,10}[a-z0-9]")
"""A name fits an interface with its prefix: fifteen characters."""
_SHUT_DOWN_FILE_SYSTEM: Final = 0x8004587D
"""EXT4_IOC_SHUTDOWN: from now on nothing reaches the disk."""
_WITHOUT_FLUSH: Final = 2
_SYSTEM_CALLS: Final = "bpf @keyring"
"""What a service manager on bare metal may call and one in a container usually may not."""


class Machine:
    """A guest by its name. Everything of it lies in one folder, so that any process can go on with it."""

    def __init__(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r}: a guest's name is 2 to 12 of a-z, 0-9 and -")
        self.name = name
        self.folder = guests_folder() / name
        self.root = self.folder / "root"
        self.key = self.folder / "id_ed25519"
        self.known_hosts = self.folder / "known_hosts"
        self.console = self.folder / "console.log"
        self._disk = self.folder / "disk.img"
        self._group = GuestGroup(name)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def link(self) -> Link:
        """The guest's network; claimed at first use."""
        return claim_link(self.name)

    @property
    def address(self) -> str:
        """The guest's address."""
        return self.link.guest

    @property
    def running(self) -> bool:
        """Whether processes of the guest exist."""
        return bool(self._group.processes())

    @property
    def processor_s(self) -> float:
        """Processor time that the guest has used since its boot, seconds."""
        return self._group.processor_s()

    # --- life ---------------------------------------------------------------------------------------------------

    def create(self, image: Path | None = None) -> None:
        """Make a fresh disk from `image`, by default the base; a guest of this name is destroyed first."""
        self.destroy()
        self.root.mkdir(parents=True)
        run("cp", "--sparse=always", "--reflink=auto", str(image or base_image()), str(self._disk))
        shutil.copy(operator_key(), self.key)
        self._mount()
        ssh = self.root / "root/.ssh"
        ssh.mkdir(mode=0o700, exist_ok=True)
        (ssh / "authorized_keys").write_text(run("ssh-keygen", "-y", "-f", str(self.key)))
        host_key = self.root / "etc/ssh/ssh_host_ed25519_key"
        if not host_key.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", str(host_key))
        (self.root / "etc/hostname").write_text(f"{self.name}\n")
        (self.root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        kind, value, _ = host_key.with_suffix(".pub").read_text().split()
        self.known_hosts.write_text(f"{self.address} {kind} {value}\n")

    def boot(self, *, cpus: float | None = None, default_route: bool = False) -> float:
        """Start the guest and wait until SSH answers; returns how long that took in seconds.

        Raises CommandFailed if it does not come up within BOOT_TIMEOUT_S.
        """
        begun = time.monotonic()
        self._mount()
        self._group.create(cpus)
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                [
                    "systemd-nspawn",
                    f"--directory={self.root}",
                    "--boot",
                    f"--machine={self.name}",
                    "--network-veth",
                    "--register=no",
                    "--keep-unit",
                    "--link-journal=no",
                    "--resolv-conf=off",
                    "--timezone=off",
                    "--console=pipe",
                    f"--system-call-filter={_SYSTEM_CALLS}",
                    "--capability=CAP_BPF,CAP_PERFMON",
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                start_new_session=True,
                preexec_fn=self._group.entering(),
            )
        (self.folder / "nspawn.pid").write_text(str(self._process.pid))
        deadline = begun + BOOT_TIMEOUT_S
        self.link.up(self._leader(deadline), default_route=default_route)
        self._wait_for_ssh(deadline)
        return time.monotonic() - begun

    def poweroff(self) -> None:
        """Shut the guest down as an administrator does; the disk stays."""
        if self.running:
            # Real-time signal 4 asks the guest's service manager to power off.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._leader(time.monotonic() + 5), signal.SIGRTMIN + 4)
            if not self._gone_within(STOP_TIMEOUT_S):
                self._kill()
        self._forget_process()
        self._unmount()

    def lose_power(self) -> None:
        """Stop the guest as a power failure does: what was not yet flushed to the disk is lost.

        The file system is shut down without writing its journal, then every process is killed.
        """
        if self.root.is_mount():
            descriptor = os.open(self.root, os.O_RDONLY)
            try:
                fcntl.ioctl(descriptor, _SHUT_DOWN_FILE_SYSTEM, struct.pack("I", _WITHOUT_FLUSH))
            finally:
                os.close(descriptor)
        self._kill()
        self._forget_process()
        self._unmount()

    def save_disk(self, image: Path) -> None:
        """Copy the disk of the guest, which must be off, for others to start from."""
        if self.running or self.root.is_mount():
            raise CommandFailed(f"{self.name}: its disk is in use")
        run("cp", "--sparse=always", "--reflink=auto", str(self._disk), str(image))

    def destroy(self) -> None:
        """Leave nothing of the guest behind, whatever state it is in."""
        self._kill()
        self._forget_process()
        self._unmount()
        release_link(self.link)
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(Path("/run/systemd/nspawn/propagate") / self.name, ignore_errors=True)
        unshare_guests_folder()

    # --- talking to it ------------------------------------------------------------------------------------------

    def ssh_options(self) -> list[str]:
        """Return the options of ssh and scp that reach the guest and trust its host key alone."""
        options = {
            # A guest that is off is not looked for anywhere else.
            "BindInterface": self.link.device,
            "IdentityFile": self.key,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "LogLevel": "ERROR",
        }
        return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    def ssh(
        self, script: str, *, check: bool = True, timeout_s: float = 120.0, user: str = "root"
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the guest. Raises CommandFailed for an exit other than 0, unless `check` is off."""
        command = ["ssh", *self.ssh_options(), f"{user}@{self.address}", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
        if check and done.returncode:
            raise CommandFailed(
                f"{self.name}: {script!r}: exit {done.returncode}: {(done.stderr or done.stdout)[-2000:]}"
            )
        return done

    def read(self, script: str) -> str:
        """Run a shell script in the guest and return what it printed, without the last newline."""
        return self.ssh(script).stdout.rstrip("\n")

    def copy_in(self, sources: Sequence[Path], target: str) -> None:
        """Copy files into the guest."""
        run("scp", "-q", *self.ssh_options(), *map(str, sources), f"root@{self.address}:{target}")

    # --- parts --------------------------------------------------------------------------------------------------

    def _mount(self) -> None:
        share_guests_folder()
        if not self.root.is_mount():
            run("mount", "-o", "loop", str(self._disk), str(self.root))

    def _unmount(self) -> None:
        deadline = time.monotonic() + 5
        while self.root.is_mount():
            try:
                run("umount", str(self.root))
            except CommandFailed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _leader(self, deadline: float) -> int:
        """Return the pid of the guest's first process, which is the child of nspawn."""
        pid = int((self.folder / "nspawn.pid").read_text())
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                if children and Path(f"/sys/class/net/{self.link.device}").exists():
                    return int(children[0])
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(0.02)
        raise CommandFailed(f"{self.name}: the guest did not start; its console:\n{self._last_words()}")

    def _wait_for_ssh(self, deadline: float) -> None:
        state = ""
        while time.monotonic() < deadline:
            state = self.ssh("systemctl is-system-running", check=False).stdout.strip()
            # A service that takes its time to load keeps the whole at "starting".
            if state in ("starting", "running", "degraded"):
                return
            time.sleep(0.1)
        raise CommandFailed(
            f"{self.name}: not up in {BOOT_TIMEOUT_S:.0f} s ({state or 'no ssh'}): {self._last_words()}"
        )

    def _kill(self) -> None:
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while pids := self._group.processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if self._process is not None:
                self._process.poll()
            if time.monotonic() > deadline:
                raise CommandFailed(f"{self.name}: processes {sorted(pids)} do not end")
            time.sleep(0.02)

    def _gone_within(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process is not None:
                self._process.poll()
            if not self.running:
                return True
            time.sleep(0.05)
        return False

    def _forget_process(self) -> None:
        if self._process is not None:
            self._process.wait(timeout=STOP_TIMEOUT_S)
            self._process = None
        self._group.remove()
        (self.folder / "nspawn.pid").unlink(missing_ok=True)

    def _last_words(self) -> str:
        return self.console.read_text(errors="replace")[-1500:] if self.console.exists() else "(none)"


def operator_key() -> Path:
    """Return the operator's private key, which every guest lets in; made once."""
    key = cache_folder() / "operator_ed25519"
    if not key.exists():
        fresh = key.with_name(f"{key.name}.{os.getpid()}")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "operator", "-f", str(fresh))
        fresh.with_name(f"{fresh.name}.pub").unlink()
        fresh.replace(key)
    return key


def guests_folder() -> Path:
    """Return the folder of all guests."""
    return cache_folder() / "guests"


def share_guests_folder() -> None:
    """Let an unmount be one in the namespaces of all guests, too.

    Each guest starts with a copy of the mounts there are. Where these are private, another guest's disk would stay
    mounted in its copy: after a loss of power the next boot would find the dead file system instead of the disk.
    """
    folder = guests_folder()
    with _guests_locked():
        if not _is_bound(folder):
            folder.mkdir(parents=True, exist_ok=True)
            run("mount", "--bind", str(folder), str(folder))
            run("mount", "--make-shared", str(folder))


def unshare_guests_folder() -> None:
    """Undo `share_guests_folder` once there is no guest."""
    folder = guests_folder()
    with _guests_locked():
        if _is_bound(folder) and not any(folder.iterdir()):
            run("umount", str(folder))


def _is_bound(folder: Path) -> bool:
    """Return whether something is mounted here. `Path.is_mount` overlooks a folder that is bound to itself."""
    return any(line.split()[4] == str(folder) for line in Path("/proc/self/mountinfo").read_text().splitlines())


@contextlib.contextmanager
def _guests_locked() -> Iterator[None]:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "guests.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def existing() -> list[Machine]:
    """Return the guests that exist on this test host, running or not."""
    folder = guests_folder()
    return [Machine(path.name) for path in sorted(folder.iterdir())] if folder.is_dir() else []
