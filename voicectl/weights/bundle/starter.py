"""The `voicectl` command of a bundle, on a machine that has only Python and OpenSSH, and no network.

Every bundle carries this program as `voicectl.pyz`, so it uses the standard library alone. It checks who signed the
manifest of the bundle, takes the packages out that the manifest names, makes a virtual environment of them once, and
hands over to the voicectl in it with the words it was given. What that one is told to do with the bundle it checks
again, to the last byte.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

USAGE_ERROR: Final = 2
UNFIT_MACHINE: Final = 3
WRONG_BYTES: Final = 4
NAMESPACE: Final = "voicectl-bundle"
SYSTEM_SIGNERS: Final = Path("/etc/voicectl/allowed_signers")
MAX_MANIFEST_BYTES: Final = 16 << 20
MAX_SIGNATURE_BYTES: Final = 64 << 10
BLOCK_BYTES: Final = 512
NAME_BYTES: Final = 100
"""Of tar: every header is one block, or three with a path that is longer than this."""
REQUIREMENTS: Final = "requirements.txt"
COMPLETE: Final = ".complete"
_PACKAGE: Final = re.compile(r"wheels/[A-Za-z0-9_][A-Za-z0-9_.+-]*\.whl")
_ID: Final = re.compile(r"[0-9][0-9A-Za-z._]{0,63}-[0-9a-f]{12}")
_CHUNK_BYTES: Final = 1 << 20
_COPY_AGAIN: Final = "the bundle was damaged or altered; copy it again from its source"
_PIP_OPTIONS: Final = (
    *("--no-index", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-cache-dir", "--no-compile"),
    *("--disable-pip-version-check", "--no-input", "--quiet"),
)


class StartError(Exception):
    """Why there is no voicectl to hand over to: the cause, the next step, the exit code."""

    def __init__(self, message: str, *, hint: str, code: int) -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """Which bundle is meant, and who is believed."""

    bundle: Path
    signers: Path
    allow_unsigned: bool


@dataclass(frozen=True, slots=True)
class Places:
    """Where the command goes: a folder for every release of it, and the link that people call it by."""

    folder: Path
    link: Path


def main(words: Sequence[str]) -> None:
    """Replace this process by the voicectl of the bundle. Raises StartError."""
    request = read_request(words, Path.cwd(), os.environ)
    places = places_for(os.environ, os.geteuid(), Path.home())
    command = provide(request, places)
    os.execv(command, [str(command), *words])  # noqa: S606 - no shell: the words are passed as they are


def read_request(words: Sequence[str], here: Path, environment: Mapping[str, str]) -> Request:
    """Return what the words of a voicectl command say about the bundle. Raises StartError."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--bundle", "-b", type=Path)
    parser.add_argument("--allowed-signers", type=Path)
    parser.add_argument("--allow-unsigned", action="store_true")
    try:
        said, _ = parser.parse_known_args(list(words))
    except argparse.ArgumentError as error:
        raise StartError(str(error), hint="--bundle FILE, --allowed-signers FILE", code=USAGE_ERROR) from error
    signers = said.allowed_signers or environment.get("VOICECTL_ALLOWED_SIGNERS") or SYSTEM_SIGNERS
    return Request(said.bundle or _only_bundle(here), Path(signers), said.allow_unsigned)


def places_for(environment: Mapping[str, str], user: int, home: Path) -> Places:
    """Return where this user's voicectl lies: below /opt for root, in the own home for anyone else."""
    if moved := environment.get("VOICECTL_HOME"):
        return Places(Path(moved).absolute() / "cli", Path(moved).absolute() / "bin/voicectl")
    if user == 0:
        return Places(Path("/opt/voicectl-cli"), Path("/usr/local/bin/voicectl"))
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
    return Places(data / "voicectl-cli", home / ".local/bin/voicectl")


def provide(request: Request, places: Places) -> Path:
    """Return the voicectl of the bundle, installed now unless it is there. Raises StartError."""
    # For everyone to run, and for its owner alone to change.
    before = os.umask(0o022)
    try:
        with request.bundle.open("rb") as archive:
            content, signature = _head(archive)
            _refuse_strangers(content, signature, request)
            manifest = _manifest(content)
            release = places.folder / _release_id(manifest, content)
            places.folder.mkdir(parents=True, exist_ok=True)
            with _alone(places.folder):
                if not (release / COMPLETE).is_file():
                    tell(f"putting voicectl {manifest['version']} on this machine, once …")
                    _install(archive, manifest, release)
                    _link(places, release)
    except (KeyError, TypeError, ValueError) as error:
        raise StartError(f"{request.bundle}: is no bundle: {error}", hint=_COPY_AGAIN, code=WRONG_BYTES) from error
    except OSError as error:
        where = error.filename or request.bundle
        raise StartError(f"{where}: {error.strerror}", hint="name the bundle with --bundle FILE", code=3) from error
    finally:
        os.umask(before)
    return release / "venv/bin/voicectl"


def tell(what: str) -> None:
    """Say on stderr what happens; stdout belongs to the voicectl that follows."""
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


def _only_bundle(here: Path) -> Path:
    found = sorted(here.glob("*.vcb"))
    if len(found) != 1:
        what = "there are several bundles here" if found else f"there is no bundle in {here}"
        raise StartError(what, hint="name one: --bundle FILE", code=USAGE_ERROR)
    return found[0]


def _head(archive: BinaryIO) -> tuple[bytes, bytes | None]:
    """Return the text of the manifest and its signature, None when there is none; `archive` is behind them then."""
    content = _member(archive, b"manifest.json", MAX_MANIFEST_BYTES)
    if content is None:
        raise ValueError("it does not begin with a manifest")
    return content, _member(archive, b"manifest.json.sig", MAX_SIGNATURE_BYTES)


def _member(archive: BinaryIO, name: bytes, limit_bytes: int) -> bytes | None:
    """Return what the next file of the tar holds, None when it has another name."""
    begin = archive.tell()
    header = archive.read(BLOCK_BYTES)
    if header[:NAME_BYTES].rstrip(b"\0") != name:
        archive.seek(begin)
        return None
    size_bytes = int(header[124:136].rstrip(b"\0 "), 8)
    if not 0 < size_bytes <= limit_bytes:
        raise ValueError(f"{name.decode()} of {size_bytes} bytes")
    content = archive.read(size_bytes)
    if len(content) != size_bytes:
        raise ValueError(f"it ends within {name.decode()}")
    archive.seek(-size_bytes % BLOCK_BYTES, os.SEEK_CUR)
    return content


def _refuse_strangers(content: bytes, signature: bytes | None, request: Request) -> None:
    """Raise StartError unless somebody who is allowed to has signed exactly this manifest."""
    if signature is None:
        if request.allow_unsigned:
            tell("WARNING: this bundle is NOT SIGNED. Anyone may have made or changed it.")
            return
        hint = "sign it with `voicectl bundle sign`, or accept it unsigned with --allow-unsigned"
        raise StartError(f"{request.bundle}: is not signed", hint=hint, code=WRONG_BYTES)
    if not request.signers.is_file():
        hint = (
            'write one line `NAME namespaces="voicectl-bundle" ssh-ed25519 AAAA…` a signer, or --allowed-signers FILE'
        )
        raise StartError(f"{request.signers}: no such file of allowed signers", hint=hint, code=UNFIT_MACHINE)
    with tempfile.NamedTemporaryFile(prefix="voicectl-signature-") as file:
        file.write(signature)
        file.flush()
        who = ("-s", file.name, "-f", str(request.signers))
        found = _ssh_keygen("find-principals", *who)
        principal = found.stdout.decode(errors="replace").split("\n")[0].split(",")[0].strip()
        checked = _ssh_keygen("verify", "-n", NAMESPACE, "-I", principal or "nobody", *who, content=content)
    if found.returncode or checked.returncode:
        said = (checked.stderr or found.stderr).decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else "the signature does not fit"
        hint = f"{_COPY_AGAIN}; or its signer is not, or not any more, in that file"
        raise StartError(
            f"{request.bundle}: not signed by anyone in {request.signers}: {reason}", hint=hint, code=WRONG_BYTES
        )


def _ssh_keygen(*arguments: str, content: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    program = shutil.which("ssh-keygen")
    if program is None:
        raise StartError("ssh-keygen is not installed", hint="install openssh-client", code=UNFIT_MACHINE)
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    return subprocess.run(  # noqa: S603 - a list of arguments, none of them from the bundle
        [program, "-Y", *arguments], input=content, capture_output=True, check=False, timeout=30, env=environment
    )


def _manifest(content: bytes) -> dict[str, Any]:
    manifest = json.loads(content)
    if not isinstance(manifest, dict) or manifest.get("schema") != 1:
        raise ValueError("its manifest is of another schema")
    wanted, here = manifest["compatible"]["python"], f"{sys.version_info.major}.{sys.version_info.minor}"
    if wanted != here:
        system = f"{manifest['compatible']['os']} {manifest['compatible']['os_version']}"
        raise StartError(
            f"the packages of this bundle are for Python {wanted}, this is Python {here}",
            hint=f"call this program with python{wanted}, or on a machine with {system}",
            code=UNFIT_MACHINE,
        )
    return manifest


def _release_id(manifest: Mapping[str, Any], content: bytes) -> str:
    found = f"{manifest['version']}-{hashlib.sha256(content).hexdigest()[:12]}"
    if not _ID.fullmatch(found):
        raise ValueError(f"{manifest['version']!r} is no version")
    return found


def _install(archive: BinaryIO, manifest: Mapping[str, Any], release: Path) -> None:
    """Make the environment of the release, whole or not at all."""
    shutil.rmtree(release, ignore_errors=True)
    release.mkdir()
    packages = release / "packages"
    (packages / "wheels").mkdir(parents=True)
    _take_out(archive, manifest, packages)
    pip = next((packages / "wheels").glob("pip-*.whl"), None)
    if pip is None:
        raise ValueError("it has no wheel of pip")
    _run(sys.executable, "-m", "venv", "--without-pip", str(release / "venv"))
    links = ("--find-links", str(packages / "wheels"), "--requirement", str(packages / REQUIREMENTS))
    # A wheel is a zip file, and Python runs the package inside it.
    _run(str(release / "venv/bin/python"), "-B", f"{pip}/pip", "install", *_PIP_OPTIONS, *links)
    shutil.rmtree(packages)
    (release / COMPLETE).touch()


def _take_out(archive: BinaryIO, manifest: Mapping[str, Any], into: Path) -> None:
    """Write the packages of the bundle below `into`, each with exactly the bytes that the manifest names.

    Where a file begins follows from the manifest alone: behind those before it, each with its header and padding.
    """
    for file in manifest["files"]:
        path, size_bytes = file["path"], file["size"]
        archive.seek(BLOCK_BYTES * (3 if len(path) > NAME_BYTES else 1), os.SEEK_CUR)
        begin = archive.tell()
        if path == REQUIREMENTS or _PACKAGE.fullmatch(path):
            digest = hashlib.sha256()
            with (into / path).open("xb") as copy:
                while piece := archive.read(min(_CHUNK_BYTES, begin + size_bytes - archive.tell())):
                    digest.update(piece)
                    copy.write(piece)
            if digest.hexdigest() != file["sha256"]:
                raise ValueError(f"sha256 of {path} is {digest.hexdigest()}, the manifest says {file['sha256']}")
        archive.seek(begin + size_bytes + -size_bytes % BLOCK_BYTES)


def _run(*command: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": os.devnull, "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603 - a list
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-10:])
        raise StartError(
            f"{command[1]} {command[2]} ended with {done.returncode}: {said}",
            hint="a full disk, or a Python without its module venv (Debian: python3)",
            code=UNFIT_MACHINE,
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder, so that two starts at once make one environment."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _link(places: Places, release: Path) -> None:
    """Let people call this release by its name; a command of that name that is not ours stays."""
    target, link = release / "venv/bin/voicectl", places.link
    if os.path.lexists(link) and not (link.is_symlink() and places.folder in link.readlink().parents):
        tell(f"{link} is another program and stays; this voicectl is {target}")
        return
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        fresh = link.with_name(f".{link.name}.{os.getpid()}")
        fresh.symlink_to(target)
        fresh.replace(link)
    except OSError as error:
        tell(f"{link}: {error.strerror}; this voicectl is {target}")
        return
    on_path = str(link.parent) in os.environ.get("PATH", "").split(os.pathsep)
    tell(f"voicectl is {link}" + ("" if on_path else f"; {link.parent} is not in PATH"))


def start() -> None:
    """Run as a program: hand over, or say why not and exit."""
    try:
        main(sys.argv[1:])
    except StartError as error:
        tell(f"error: {error}\nhint: {error.hint}")
        sys.exit(error.code)
    except KeyboardInterrupt:
        sys.exit(130)
