"""Make the disk image that every guest starts from: a minimal Debian server, cached per recipe."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from voicectl.weights.bundle.targets import DEFAULT_RELEASE, find_target

RELEASE: Final = os.environ.get("VOICECTL_HOSTS_RELEASE", DEFAULT_RELEASE)
"""The system of the guests, as bundles name it."""
SUITE: Final = find_target(RELEASE).codename
PACKAGES: Final = ("systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "iproute2", "sudo")
"""What a minimal server has that is reached by SSH; nothing of what the bundle brings."""
DISK_BYTES: Final = 8 << 30
"""Size of a guest's disk; the file is sparse."""
NAME_SERVER: Final = "198.51.100.53"
"""A documentation address. A guest that looks a name up asks here, and the watch on its link counts it."""
_RECIPE_VERSION: Final = "1"


def cache_folder() -> Path:
    """Return the folder of base images, guests and bundles, outside any checkout."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "voicectl" / "hosts"


def base_image() -> Path:
    """Return the cached disk image, made first where it is missing; a minute and a half, and 400 MB.

    Raises CalledProcessError with the last words of what failed.
    """
    recipe = "|".join((_RECIPE_VERSION, SUITE, *PACKAGES, str(DISK_BYTES), NAME_SERVER))
    image = cache_folder() / f"base-{SUITE}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.img"
    with _locked(cache_folder() / "base.lock"):
        if not image.exists():
            _make(image)
    return image


def _make(image: Path) -> None:
    packages = cache_folder() / "debs"
    packages.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="debootstrap-") as folder:
        root = Path(folder) / "root"
        run(
            "debootstrap",
            "--variant=minbase",
            f"--cache-dir={packages}",
            f"--include={','.join(PACKAGES)}",
            SUITE,
            str(root),
        )
        _finish(root)
        unfinished = Path(folder) / "disk.img"
        with unfinished.open("wb") as file:
            file.truncate(DISK_BYTES)
        run("mkfs.ext4", "-q", "-d", str(root), str(unfinished))
        unfinished.rename(image)


def _finish(root: Path) -> None:
    """Leave the system as an installer leaves it, without what belongs to one machine alone."""
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        package.unlink()
    shutil.rmtree(root / "var/lib/apt/lists")
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
    (root / "etc/machine-id").write_text("")
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
    (root / "var/log/journal").mkdir(exist_ok=True)


def run(*command: str) -> str:
    """Run a command and return its output; what it said is part of the error where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip()[-2000:]
        raise CommandFailed(f"{' '.join(command)}: exit {done.returncode}: {words}")
    return done.stdout


class CommandFailed(Exception):
    """A command of the harness failed; the message has its last words."""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
