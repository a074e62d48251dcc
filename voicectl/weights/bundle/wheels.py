"""Collect the wheels of a bundle: what the lock file names, for the target and not for this host."""

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from voicectl.core.errors import IntegrityError
from voicectl.weights.bundle.programs import run
from voicectl.weights.bundle.requirements import Requirement, Wheel, matched, read_requirements, read_wheel
from voicectl.weights.bundle.targets import Target

BUILD_LOCK: Final = "requirements-build.lock"
RUNTIME_LOCK: Final = "requirements.lock"
BUILT_HERE: Final = frozenset({"llama-cpp-python"})
"""Packages of the lock file that come as source, and are compiled for the target."""
INSTALLER: Final = frozenset({"pip"})
"""Packages of the build's lock file that a host needs too, to install the wheels."""
WHEEL_EPOCH: Final = {"SOURCE_DATE_EPOCH": "315532800"}
"""1980-01-01, the earliest time that a wheel can hold: what is built twice has the same bytes."""


class BuildTools:
    """An environment with pinned build tools, made once in `cache`."""

    def __init__(self, source: Path, cache: Path) -> None:
        self._lock = source / BUILD_LOCK
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        self._folder = cache / f"tools-{version}-{_digest([self._lock.read_bytes()])}"

    @property
    def programs(self) -> Path:
        """Return the folder of its programs."""
        return self._folder / "bin"

    @property
    def pip(self) -> list[str | Path]:
        """Return the beginning of a pip command."""
        return [self.python, "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check"]

    @property
    def environment(self) -> dict[str, str]:
        """Return what makes a program find the others of this environment first."""
        return {"PATH": f"{self.programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}

    @property
    def python(self) -> Path:
        """Return its interpreter, installed now if it is missing. Raises BuildFailed."""
        python = self.programs / "python"
        if not (self._folder / ".complete").is_file():
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            run([sys.executable, "-m", "venv", self._folder], doing="making an environment for the build tools")
            run(
                [python, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", self._lock],
                doing="installing the build tools",
            )
            (self._folder / ".complete").touch()
        return python


def fetch_wheels(
    source: Path, target: Target, tools: BuildTools, cache: Path, more: Sequence[str] = ()
) -> tuple[Wheel, ...]:
    """Return a wheel for every package of the lock file that need not be compiled, and pip's, all checked.

    `more` names further lock files of the checkout. The wheels are kept in `cache`. Raises BuildFailed when one cannot
    be had, IntegrityError when its digest is wrong.
    """
    pins = [
        *[pin for pin in read_requirements(source / RUNTIME_LOCK) if pin.name not in BUILT_HERE],
        *[pin for pin in read_requirements(source / BUILD_LOCK) if pin.name in INSTALLER],
        *[pin for lock in more for pin in read_requirements(source / lock)],
    ]
    folder = cache / f"wheels-{target.name}-{_digest(pin.lines.encode() for pin in pins)}"
    if not folder.is_dir():
        _download(pins, target, tools, folder)
    return matched(pins, folder)


def build_own_wheel(source: Path, tools: BuildTools, into: Path) -> Wheel:
    """Return voicectl's own wheel, built from the checkout at `source`; the same files give the same bytes."""
    build_wheel(tools, source, into, doing="building voicectl's own wheel")
    return only_wheel(into)


def build_wheel(
    tools: BuildTools,
    project: Path,
    into: Path,
    *,
    doing: str,
    environment: dict[str, str] | None = None,
    settings: Sequence[str] = (),
) -> None:
    """Build the wheel of `project` with pinned tools, all times in it fixed. Raises BuildFailed."""
    words = [word for setting in settings for word in ("-C", setting)]
    run(
        [*tools.pip, "wheel", "--no-deps", "--no-cache-dir", "--no-build-isolation", *words, "-w", into, project],
        doing=doing,
        environment={**tools.environment, **WHEEL_EPOCH, **(environment or {})},
    )


def only_wheel(folder: Path) -> Wheel:
    """Return the one wheel of `folder`. Raises IntegrityError when there are several or none."""
    files = sorted(folder.glob("*.whl"))
    if len(files) != 1:
        raise IntegrityError(f"{folder}: holds {len(files)} wheels, not one", hint=f"remove {folder} and build again")
    return read_wheel(files[0])


def pip_download(tools: BuildTools, pins: Iterable[Requirement], into: Path, options: Sequence[str]) -> None:
    """Have pip fetch exactly these pins into the folder `into`, digests checked. Raises BuildFailed."""
    into.mkdir(parents=True, exist_ok=True)
    listing = into / "pins.txt"
    listing.write_text("".join(pin.lines for pin in pins), encoding="utf-8")
    # The user's pip configuration decides where from; the digests decide what.
    run(
        [*tools.pip, "download", "--no-deps", "--require-hashes", "-d", into, "-r", listing, *options],
        doing="fetching Python packages",
        environment=tools.environment,
    )
    listing.unlink()


def _download(pins: Sequence[Requirement], target: Target, tools: BuildTools, folder: Path) -> None:
    fresh = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(fresh, ignore_errors=True)
    tags = [f"--platform={tag}" for tag in target.platforms]
    abi = "cp" + target.python.replace(".", "")
    tags += ["--implementation=cp", f"--python-version={target.python}", f"--abi={abi}", "--abi=abi3", "--abi=none"]
    pip_download(tools, pins, fresh, ["--only-binary=:all:", *tags])
    matched(pins, fresh)
    fresh.replace(folder)


def _digest(pieces: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\0".join(pieces)).hexdigest()[:12]
