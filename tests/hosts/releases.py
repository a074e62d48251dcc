"""The releases that tests install: the real bundle of this checkout, and others made out of it, good and broken."""

import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.conftest import REPOSITORY
from tests.hosts.base import RELEASE, cache_folder, run
from tests.hosts.wheel import rewrite_wheel
from voicectl.weights.bundle.manifest import MANIFEST_NAME, SIGNATURE_NAME, parse_manifest
from voicectl.weights.bundle.requirements import read_wheel
from voicectl.weights.bundle.verify import extract, verify_bundle
from voicectl.weights.bundle.write import Placed, listed, sign_bundle, write_bundle

PROFILE: Final = "cpu"
KEPT_S: Final = 86_400
"""How long bundles of other sources are kept."""
SERIAL: Final = 1000
"""Of the real release; others count from here."""
_SOURCES: Final = ("voicectl", "playbooks", "profiles", "cmake", "models.lock", "pyproject.toml", "requirements*.lock")
_BUILD_TIMEOUT_S: Final = 1800


@dataclass(frozen=True, slots=True)
class Change:
    """How a release differs from the real one. `additions` is source at the end of modules of its wheel."""

    label: str
    version: str
    serial_step: int = 1
    additions: Mapping[str, str] = field(default_factory=dict)
    compatible: Mapping[str, Any] = field(default_factory=dict)
    profiles: tuple[str, ...] | None = None


GOOD: Final = Change("good", "9.1.0")
CRASHES: Final = Change(
    "crashes",
    "9.2.1",
    additions={"voicectl/service/app.py": "import os\n\nos.abort()\n"},
)
CRASHES_IN_CALLS: Final = Change(
    "crashes-in-calls",
    "9.2.2",
    additions={
        "voicectl/engine/tts/stage.py": """
def _fall_over(self: SpeechHandler, run: JobRun) -> ReplyBody:
    import os

    os.abort()


SpeechHandler.__call__ = _fall_over
"""
    },
)
TALKS_GARBAGE: Final = Change(
    "talks-garbage",
    "9.2.3",
    additions={
        "voicectl/engine/tts/stage.py": """
_accepted_before = _accepted


def _accepted(run: JobRun) -> Synthesize:
    import msgspec

    body = _accepted_before(run)
    return msgspec.structs.replace(body, text="Quick zebras juggle waxed violins under purple thunder.")
"""
    },
)
TOO_SLOW: Final = Change(
    "too-slow",
    "9.2.4",
    additions={
        "voicectl/engine/tts/stage.py": """
_accepted_at_once = _accepted


def _accepted(run: JobRun) -> Synthesize:
    import time

    time.sleep(9)
    return _accepted_at_once(run)
"""
    },
)
FAILS_ON_THE_REAL_PORT: Final = Change(
    "fails-on-the-real-port",
    "9.2.5",
    additions={
        "voicectl/service/app.py": """
_serve_anywhere = serve_forever


async def serve_forever(profile, **settings):
    if profile.server.port != 18080:
        raise RuntimeError("this release works on the gate's port alone")
    await _serve_anywhere(profile, **settings)
"""
    },
)
"""The gate before the switch cannot see what is wrong with it; the gate after can."""
OTHER_ARCH: Final = Change("other-arch", "9.3.1", compatible={"arch": "aarch64"})
OTHER_SYSTEM: Final = Change("other-system", "9.3.2", compatible={"os_version": "11"})
OTHER_PROCESSOR: Final = Change("other-processor", "9.3.3", compatible={"cpu_flags": ["avx2", "no_such_flag"]})
OLDER: Final = Change("older", "0.0.1", serial_step=-1)


class Shelf:
    """Bundles by their change; each is made at its first use and kept for the next run of the same sources."""

    def __init__(self) -> None:
        self._folder = cache_folder() / "bundles" / f"{RELEASE}-{_sources_digest()}"
        self._folder.mkdir(parents=True, exist_ok=True)
        for other in self._folder.parent.iterdir():
            # Bundles of other sources: half a gigabyte each.
            if other.is_dir() and other != self._folder and time.time() - other.stat().st_mtime > KEPT_S:
                shutil.rmtree(other)
        self.signing_key = self._key("signer")
        self.other_key = self._key("stranger")
        self.allowed_signers = self._folder.parent / "allowed_signers"
        public = self.signing_key.with_suffix(".pub").read_text().split()
        self.allowed_signers.write_text(f'release namespaces="voicectl-bundle" {public[0]} {public[1]}\n')

    def real(self) -> Path:
        """Return the bundle of this checkout, built and signed as an operator does it."""
        path = self._folder / "real.vcb"
        if not path.exists():
            built = self._folder / "built"
            shutil.rmtree(built, ignore_errors=True)
            voicectl = [sys.executable, "-m", "voicectl", "bundle"]
            build = [*voicectl, "build", "--release", RELEASE, "--profile", PROFILE, "--serial", str(SERIAL)]
            build += ["--output", str(built)]
            subprocess.run(build, check=True, cwd=REPOSITORY, timeout=_BUILD_TIMEOUT_S)
            (bundle,) = built.glob("*.vcb")
            subprocess.run([*voicectl, "sign", str(bundle), "--key", str(self.signing_key)], check=True, timeout=300)
            bundle.rename(path)
            shutil.rmtree(built)
        return path

    def changed(self, change: Change) -> Path:
        """Return the bundle of another release, signed like the real one."""
        digest = hashlib.sha256(repr(change).encode()).hexdigest()[:12]
        path = self._folder / f"{change.label}-{digest}.vcb"
        if not path.exists():
            self._write(change, path)
        return path

    def signed_by_stranger(self) -> Path:
        """Return the real bundle with the signature of a key that nobody trusts."""
        path = self._folder / "stranger.vcb"
        if not path.exists():
            copied = self._folder / "stranger.part"
            shutil.copy(self.real(), copied)
            sign_bundle(copied, self.other_key)
            copied.rename(path)
        return path

    def question(self) -> Path:
        """Return the recording of the golden question."""
        return self._extracted() / "golden" / "golden.wav"

    def golden_transcript(self) -> str:
        """Return what the golden question says."""
        return str(json.loads((self._extracted() / "golden" / "golden.json").read_text())["transcript"])

    def release_id(self, bundle: Path) -> str:
        """Return what the release of a bundle is called on a host."""
        return verify_bundle(bundle, self.allowed_signers, allow_unsigned=True).release_id

    def _write(self, change: Change, path: Path) -> None:
        content = self._extracted()
        workplace = self._folder / f"{path.stem}.part"
        shutil.rmtree(workplace, ignore_errors=True)
        workplace.mkdir()
        manifest = parse_manifest((content / MANIFEST_NAME).read_bytes(), name=str(path))
        old_wheel = next((content / "wheels").glob("voicectl-*.whl"))
        wheel = rewrite_wheel(old_wheel, workplace, version=change.version, additions=change.additions)
        requirements = workplace / "requirements.txt"
        old_lines, new_lines = read_wheel(old_wheel).requirement.lines, read_wheel(wheel).requirement.lines
        text = (content / "requirements.txt").read_text()
        if old_lines not in text:
            raise AssertionError(f"{old_wheel.name} is not in requirements.txt")
        requirements.write_text(text.replace(old_lines, new_lines))
        replaced = {f"wheels/{old_wheel.name}": None, "requirements.txt": requirements}
        placed = [
            Placed(entry.path, replaced.get(entry.path) or content / entry.path, entry.mode)
            for entry in manifest.files
            if replaced.get(entry.path, wheel) is not None
        ]
        placed.append(Placed(f"wheels/{wheel.name}", wheel))
        changed = manifest.model_copy(
            update={
                "version": change.version,
                "serial": manifest.serial + change.serial_step,
                "profiles": change.profiles or manifest.profiles,
                "compatible": manifest.compatible.model_validate(
                    {**manifest.compatible.model_dump(), **change.compatible}
                ),
                "files": listed(placed),
            }
        )
        bundle = workplace / "bundle.vcb"
        write_bundle(bundle, changed, placed)
        sign_bundle(bundle, self.signing_key)
        bundle.rename(path)
        shutil.rmtree(workplace)

    def _extracted(self) -> Path:
        folder = self._folder / "content"
        if not folder.exists():
            extract(self.real(), verify_bundle(self.real(), self.allowed_signers).manifest, folder)
        return folder

    def _key(self, name: str) -> Path:
        key = self._folder.parent / f"{name}_ed25519"
        if not key.exists():
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key))
        return key


def _sources_digest() -> str:
    digest = hashlib.sha256()
    for pattern in _SOURCES:
        for path in sorted(REPOSITORY.glob(pattern)):
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            for file in files:
                if file.is_file() and "__pycache__" not in file.parts:
                    digest.update(str(file.relative_to(REPOSITORY)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def same_but(change: Change, **differences: Any) -> Change:
    """Return a change that differs in some fields."""
    return dataclasses.replace(change, **differences)


__all__ = [
    "CRASHES",
    "CRASHES_IN_CALLS",
    "FAILS_ON_THE_REAL_PORT",
    "GOOD",
    "MANIFEST_NAME",
    "OLDER",
    "OTHER_ARCH",
    "OTHER_PROCESSOR",
    "OTHER_SYSTEM",
    "SIGNATURE_NAME",
    "TALKS_GARBAGE",
    "TOO_SLOW",
    "Change",
    "Shelf",
    "same_but",
]
