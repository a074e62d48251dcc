"""Collect Debian packages with everything they need, as if for a host on which nothing is installed."""

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from voicectl.core.errors import IntegrityError
from voicectl.weights.bundle.aptsources import release_sources
from voicectl.weights.bundle.programs import BuildFailed, run
from voicectl.weights.bundle.targets import Target
from voicectl.weights.store import file_digest

INDEX: Final = "Packages"
_URI: Final = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) SHA256:(?P<sha256>[0-9a-f]{64})")
_PREFERENCES: Final = """\
Package: *
Pin: release o=Debian, n={codename}*
Pin-Priority: 500

Package: *
Pin: release o=*
Pin-Priority: -1
"""
"""The first that fits counts: Debian's own packages of the release, and nobody else's."""


@dataclass(frozen=True, slots=True)
class Deb:
    """One package file that was checked, and the name it has in a bundle."""

    path: Path
    name: str


class Apt:
    """apt with a state of its own in `cache`: nothing of this host's packages has a say in what it chooses."""

    def __init__(self, target: Target, cache: Path, sources: Mapping[str, str]) -> None:
        self._target = target
        self._root = cache / f"apt-{target.name}"
        self._sources = release_sources(sources, target.codename)

    def fetch(self, packages: Sequence[str]) -> tuple[Deb, ...]:
        """Return `packages` and all that they depend on, fetched and checked. Raises BuildFailed, IntegrityError."""
        self._prepare()
        run(self._command("apt-get", "update", "--quiet"), doing="reading the package lists")
        install = ["install", "--yes", "--no-install-recommends", *packages]
        # apt names only what it still has to fetch: asked with an empty cache, it names everything.
        empty = f"-oDir::Cache::archives={self._root / 'cache/empty'}"
        planned = run([*self._command("apt-get", "--print-uris", *install), empty], doing="choosing Debian packages")
        run(self._command("apt-get", "--download-only", "--quiet", *install), doing="fetching Debian packages")
        debs = [self._checked(match) for match in _URI.finditer(planned)]
        if not debs:
            raise BuildFailed(f"apt has no package to fetch for {', '.join(packages)}")
        return tuple(sorted(debs, key=lambda deb: deb.name))

    def _prepare(self) -> None:
        etc = self._root / "etc"
        shutil.rmtree(etc, ignore_errors=True)
        for folder in ("etc/parts", "state/lists/partial", "cache/archives/partial", "cache/empty/partial"):
            (self._root / folder).mkdir(parents=True, exist_ok=True)
        (self._root / "state/status").write_text("")
        (etc / "preferences").write_text(_PREFERENCES.format(codename=self._target.codename))
        for name, text in self._sources.items():
            (etc / "parts" / name).write_text(text)

    @property
    def _archives(self) -> Path:
        return self._root / "cache/archives"

    def _command(self, program: str, *arguments: str) -> list[str]:
        settings = {
            "APT::Architecture": self._target.deb_arch,
            "APT::Architectures": self._target.deb_arch,
            "APT::Sandbox::User": "root",
            "APT::Get::List-Cleanup": "true",
            "Acquire::ForceHash": "sha256",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Dir::State": str(self._root / "state"),
            "Dir::State::lists": str(self._root / "state/lists"),
            "Dir::State::status": str(self._root / "state/status"),
            "Dir::Cache": str(self._root / "cache"),
            "Dir::Cache::archives": str(self._archives),
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": str(self._root / "etc/parts"),
            "Dir::Etc::preferences": str(self._root / "etc/preferences"),
            "Dir::Etc::preferencesparts": "/dev/null",
            "Debug::NoLocking": "true",
        }
        return [program, *[f"-o{key}={value}" for key, value in settings.items()], *arguments]

    def _checked(self, match: re.Match[str]) -> Deb:
        path = self._archives / match["file"]
        if not path.is_file() or file_digest(path) != match["sha256"]:
            raise IntegrityError(f"{path}: not the file that the package list names", hint=f"remove {path}")
        return Deb(path, unquote(match["uri"].rpartition("/")[2]))


def packages_index(debs: Sequence[Deb]) -> str:
    """Return the index of a flat repository of `debs`, read from the packages themselves. Raises BuildFailed."""
    return "\n".join(_stanza(deb) for deb in sorted(debs, key=lambda deb: deb.name))


def _stanza(deb: Deb) -> str:
    control = run(["dpkg-deb", "--field", deb.path], doing=f"reading {deb.name}").rstrip("\n")
    content = deb.path.read_bytes()
    return f"{control}\nFilename: ./{deb.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
