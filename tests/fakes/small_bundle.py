"""A small bundle with files of every kind, and a key that may sign it, for the tests of bundles."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from voicectl.weights.bundle.manifest import Compatible, Manifest
from voicectl.weights.bundle.signing import NAMESPACE
from voicectl.weights.bundle.write import Placed, listed, write_bundle

PRINCIPAL = "releases@example.org"
LONG = f"wheels/tiny_long-1.0-cp311-cp311-{'.'.join(f'manylinux_2_{minor}_x86_64' for minor in (17, 27, 28, 31))}.whl"
"""A name that does not fit into one tar header."""
CONTENT = {
    "blobs/sha256/ab/abcd": bytes(range(256)) * 9,
    "debs/Packages": b"Package: nothing\n",
    "debs/nothing_1.0+b1~deb12_all.deb": b"!<arch>\n" * 100,
    "golden/golden.json": b'{"transcript": "hello"}\n',
    "models.lock": b"version = 1\n",
    "playbooks/install.yml": b"- hosts: all\n",
    "playbooks/library/place.py": b"print('here')\n",
    "requirements.txt": b"tiny==1.0\n",
    "wheels/tiny-1.0-py3-none-any.whl": b"PK" * 256,
    LONG: b"PK" * 99,
}
EXECUTABLE = "playbooks/library/place.py"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key of its own, and the file that trusts it."""

    key: Path
    allowed: Path


def make_signer(folder: Path, *, options: str = f'namespaces="{NAMESPACE}"', principal: str = PRINCIPAL) -> Signer:
    """Make a key in `folder`, and the line that trusts it with these options."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key], check=True)
    kind, text = key.with_suffix(".pub").read_text().split()[:2]
    allowed = folder / "allowed_signers"
    allowed.write_text(f"{principal} {options} {kind} {text}\n")
    return Signer(key, allowed)


def placed_files(folder: Path, content: dict[str, bytes] | None = None) -> list[Placed]:
    """Write the files of a bundle below `folder`."""
    files = CONTENT if content is None else content
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text)
    return [Placed(path, folder / path, "0755" if path == EXECUTABLE else "0644") for path in files]


def manifest_of(placed: list[Placed], **changes: object) -> Manifest:
    """Return a manifest of these files."""
    return Manifest.model_validate(
        {
            "version": "1.2.0",
            "serial": 7,
            "profiles": ("cpu",),
            "compatible": Compatible(os="debian", os_version="12", arch="x86_64", python="3.11", cpu_flags=("avx2",)),
            "files": listed(placed),
            **changes,
        }
    )


def make_bundle(path: Path, **changes: object) -> Manifest:
    """Write an unsigned bundle to `path`."""
    placed = placed_files(path.parent / "files")
    manifest = manifest_of(placed, **changes)
    write_bundle(path, manifest, placed)
    return manifest
