"""The lock files of Python packages: names, versions and the digests that their wheels may have."""

import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from voicectl.core.errors import ConfigError, IntegrityError
from voicectl.weights.store import file_digest

_PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s\\;]+)")
_HASH = re.compile(r"--hash=sha256:(?P<digest>[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One package at one version; a file of it counts when its sha256 is among `digests`."""

    name: str
    version: str
    digests: frozenset[str]

    @property
    def lines(self) -> str:
        """Return the text that pip reads, digests sorted."""
        hashes = [f"    --hash=sha256:{digest}" for digest in sorted(self.digests)]
        return " \\\n".join([f"{self.name}=={self.version}", *hashes]) + "\n"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A wheel of this host: the package it holds, and its digest."""

    path: Path
    name: str
    version: str
    sha256: str

    @property
    def requirement(self) -> Requirement:
        """Return the pin of exactly this wheel."""
        return Requirement(self.name, self.version, frozenset({self.sha256}))


def read_requirements(path: Path) -> tuple[Requirement, ...]:
    """Return the pins of a lock file that pip-compile made. Raises ConfigError for what is not pinned with digests."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    entries = [" ".join(entry.split()) for entry in text.replace("\\\n", " ").splitlines()]
    found = []
    for entry in entries:
        if not entry or entry.startswith(("#", "--")):
            continue
        pin = _PIN.match(entry)
        digests = frozenset(match["digest"] for match in _HASH.finditer(entry))
        if not pin or not digests:
            raise ConfigError(f"{path}: {entry[:80]!r} is not a version with digests", hint="make lock")
        found.append(Requirement(canonicalize_name(pin["name"]), pin["version"], digests))
    return tuple(found)


def wheel_metadata(path: Path) -> Message:
    """Return what a wheel says about itself. Raises IntegrityError when it says nothing."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.namelist() if member.endswith(".dist-info/METADATA")]
            # Packages that carry others carry their metadata too, further down.
            return BytesParser().parsebytes(archive.read(min(members, key=lambda member: member.count("/"))))
    except (zipfile.BadZipFile, ValueError) as error:
        raise IntegrityError(f"{path}: not a wheel: {error}") from error


def render_requirements(wheels: Iterable[Wheel]) -> str:
    """Return the lock file of exactly these wheels, for `pip install --no-index --require-hashes`."""
    return "".join(wheel.requirement.lines for wheel in sorted(wheels, key=lambda wheel: wheel.name))


def read_wheel(path: Path) -> Wheel:
    """Return what the file's name and bytes say. Raises IntegrityError when the name is not one of a wheel."""
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise IntegrityError(f"{path}: not the name of a wheel: {error}") from error
    return Wheel(path, name, str(version), file_digest(path))


def matched(requirements: Iterable[Requirement], folder: Path) -> tuple[Wheel, ...]:
    """Return the wheels of `folder`, exactly one for each pin. Raises IntegrityError for any other state."""
    wheels = {wheel.name: wheel for wheel in map(read_wheel, sorted(folder.glob("*.whl")))}
    pins = {pin.name: pin for pin in requirements}
    if set(wheels) != set(pins):
        strays = ", ".join(sorted(set(wheels) ^ set(pins)))
        raise IntegrityError(f"{folder}: the wheels are not those of the lock file: {strays}", hint=_again(folder))
    for name, pin in pins.items():
        if wheels[name].sha256 not in pin.digests:
            raise IntegrityError(
                f"{wheels[name].path.name}: sha256 {wheels[name].sha256} is not in the lock file", hint=_again(folder)
            )
    return tuple(wheels[name] for name in sorted(wheels))


def _again(folder: Path) -> str:
    return f"remove {folder} and build again"
