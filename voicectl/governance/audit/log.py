"""Write an audit log: one entry a line, each naming the one before it, safe across processes and crashes."""

import base64
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from voicectl.core.errors import ConfigError, VoicectlError
from voicectl.core.paths import store_path
from voicectl.governance.audit import segments as files
from voicectl.governance.audit.entry import MAX_ENTRY_BYTES, NOTHING, BrokenEntry, Entry, line_of, new_entry, parse_line

MAX_SEGMENT_BYTES: Final = 64 * 1024 * 1024
MAX_TORN_BYTES: Final = 32 * 1024
"""Bytes of an unfinished entry that its repair quotes."""


class AuditChainBroken(VoicectlError):
    """The audit log is not what was written; names the first place."""

    exit_code = 25


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a log. `log` is the log's own name, `digest` the entry's."""

    log: str
    sequence: int
    digest: str
    file: str


@dataclass(frozen=True, slots=True)
class _Known:
    """The head, and the file as this process left it: nobody else wrote since while it is the same."""

    head: Head
    inode: int
    size: int


def audit_folder() -> Path:
    """Return where this host keeps its audit log."""
    return store_path() / "audit"


class AuditLog:
    """An append-only log in a folder. `append` returns once the entry is on the disk; any process may call it."""

    def __init__(
        self, folder: Path, *, max_segment_bytes: int = MAX_SEGMENT_BYTES, now: Callable[[], float] = time.time
    ) -> None:
        self.folder = folder
        self._max_segment_bytes = max_segment_bytes
        self._now = now
        self._known: _Known | None = None

    def append(self, kind: str, body: Mapping[str, Any]) -> Entry:
        """Write an entry, and return it.

        The first one creates the log. Raises AuditEntryRefused for a body that is not of its kind, AuditChainBroken
        when the end of the log is not what was written, LockedError, and ConfigError when the disk refuses.
        """
        new_entry(0, 0.0, kind, body, NOTHING)
        try:
            files.make_folder(self.folder)
            with files.exclusive(self.folder):
                known = self._current() or self._create()[0]
                return self._write(known, kind, body)
        except OSError as error:
            self._known = None
            raise ConfigError(
                f"{self.folder}: the audit log cannot be written: {error.strerror}",
                hint=f"check its owner and the space left: ls -l {self.folder}; df {self.folder}",
            ) from error

    def begin(self, reason: str) -> Entry:
        """Begin a log on purpose, and say in its first entry why. Raises ConfigError where one is."""
        try:
            files.make_folder(self.folder)
            with files.exclusive(self.folder):
                if self._current() is not None:
                    raise ConfigError(f"{self.folder}: there is an audit log already", hint="see `voicectl audit show`")
                return self._create({"reason": reason})[1]
        except OSError as error:
            raise ConfigError(f"{self.folder}: the audit log cannot be written: {error.strerror}") from error

    def now(self) -> float:
        """Return the time of the log's clock."""
        return self._now()

    def head(self) -> Head | None:
        """Return the last entry, None for a log that does not exist yet. Raises as `append` does."""
        try:
            if not files.segments(self.folder):
                return None
            with files.exclusive(self.folder):
                known = self._current()
        except OSError as error:
            raise ConfigError(f"{self.folder}: the audit log cannot be read: {error.strerror}") from error
        return None if known is None else known.head

    # --- under the lock --------------------------------------------------------------------------

    def _current(self) -> _Known | None:
        """Return where the log ends, None if there is none; repairs an entry that a crash left unfinished."""
        paths, known = files.segments(self.folder), self._known
        if not paths:
            if known is not None:
                raise _broken(self.folder, f"the log is gone, to which entry {known.head.sequence} was written")
            return None
        path = paths[-1]
        status = path.stat()
        if known is not None and (known.head.file, known.inode, known.size) == (
            path.name,
            status.st_ino,
            status.st_size,
        ):
            return known
        line, torn = files.last_lines(path, MAX_ENTRY_BYTES)
        if line is None:
            # A new file without one whole line: the one before it has the last entry, and the file begins anew.
            return self._after_torn_file(paths, torn)
        entry = self._parsed(path, line)
        head = Head(self._log_name(paths[0]), entry.sequence, entry.digest, path.name)
        if known is not None and known.head.log == head.log and head.sequence < known.head.sequence:
            raise _broken(path, f"the log ends with entry {head.sequence}, and entry {known.head.sequence} was written")
        whole = status.st_size - len(torn)
        known = _Known(head, status.st_ino, whole)
        if torn:
            files.cut(path, whole)
            return self._repaired(known, torn)
        return known

    def _after_torn_file(self, paths: list[Path], torn: bytes) -> _Known | None:
        path = paths[-1]
        if len(paths) == 1:
            # Not even the first entry was finished: there is no log yet.
            path.unlink()
            return None
        line, behind = files.last_lines(paths[-2], MAX_ENTRY_BYTES)
        if line is None or behind:
            raise _broken(paths[-2], "its last line has no end, and another file follows")
        entry = self._parsed(paths[-2], line)
        files.cut(path, 0)
        head = Head(self._log_name(paths[0]), entry.sequence, entry.digest, path.name)
        known = _Known(head, path.stat().st_ino, 0)
        return self._repaired(known, torn) if torn else known

    def _repaired(self, known: _Known, torn: bytes) -> _Known:
        body = {
            "num_bytes": len(torn),
            "sha256": hashlib.sha256(torn).hexdigest(),
            "content": base64.b64encode(torn[:MAX_TORN_BYTES]).decode("ascii"),
        }
        self._write(known, "log_repaired", body)
        assert self._known is not None
        return self._known

    def _create(self, details: Mapping[str, str] | None = None) -> tuple[_Known, Entry]:
        name = secrets.token_hex(16)
        path = self.folder / files.segment_name(1)
        body = {"log": name} if details is None else {"log": name, "details": dict(details)}
        entry = new_entry(0, self._now(), "log_created", body, NOTHING)
        size = files.append_bytes(path, line_of(entry))
        return _Known(Head(name, 0, entry.digest, path.name), path.stat().st_ino, size), entry

    def _write(self, known: _Known, kind: str, body: Mapping[str, Any]) -> Entry:
        head = known.head
        entry = new_entry(head.sequence + 1, self._now(), kind, body, head.digest)
        path = self.folder / head.file
        if known.size >= self._max_segment_bytes:
            path = self.folder / files.segment_name(files.number_of(path) + 1)
        self._known = None
        size = files.append_bytes(path, line_of(entry))
        self._known = _Known(Head(head.log, entry.sequence, entry.digest, path.name), path.stat().st_ino, size)
        return entry

    def _log_name(self, first: Path) -> str:
        with first.open("rb") as file:
            entry = self._parsed(first, file.readline(MAX_ENTRY_BYTES + 1).rstrip(b"\n"))
        name = entry.body.get("log")
        if entry.kind != "log_created" or not isinstance(name, str):
            raise _broken(first, "it does not begin with the entry that creates a log")
        return name

    def _parsed(self, path: Path, line: bytes) -> Entry:
        try:
            return parse_line(line)
        except BrokenEntry as error:
            raise _broken(path, str(error)) from error


def _broken(path: Path, what: str) -> AuditChainBroken:
    return AuditChainBroken(
        f"{path}: {what}",
        hint="nothing is appended to a log that was changed; see `voicectl audit verify`, keep the folder as evidence, "
        "move it aside, and begin a new log with `voicectl audit init`",
    )
