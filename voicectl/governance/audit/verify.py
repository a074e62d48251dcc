"""Prove that an audit log is what was written: every file, line and byte, up to a signed checkpoint and beyond."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voicectl.core.errors import ConfigError
from voicectl.governance.audit import segments as files
from voicectl.governance.audit.checkpoint import Checkpoint
from voicectl.governance.audit.entry import MAX_ENTRY_BYTES, NOTHING, BrokenEntry, Entry, parse_line


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where a log is not what was written. `line` counts from 1; 0 is the file as a whole."""

    file: str
    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. Entries up to `proven` are those that the checkpoint was signed for; None without one.

    What was written after the checkpoint is checked link by link, which finds every accident; only a later
    checkpoint proves it against somebody who can write the file.
    """

    num_files: int
    num_entries: int
    log: str | None
    proven: int | None
    repairs: int
    first_break: Break | None

    @property
    def intact(self) -> bool:
        """Whether the log is what was written."""
        return self.first_break is None


@dataclass(slots=True)
class _Walk:
    """How far the chain has been followed."""

    log: str | None = None
    sequence: int = -1
    digest: str = NOTHING
    at_checkpoint: bool = False
    repairs: int = 0


def verify(folder: Path, checkpoint: Checkpoint | None = None) -> Verification:
    """Follow the chain of a log from its first entry to its last. Raises ConfigError when there is no log."""
    paths = files.segments(folder)
    if not paths:
        if checkpoint is not None:
            return Verification(0, 0, None, None, 0, Break(str(folder), 0, "no file of the log is left"))
        raise ConfigError(f"{folder}: there is no audit log", hint="the service and the gate begin one")
    walk = _Walk()
    try:
        found = _follow(paths, walk, checkpoint)
    except OSError as error:
        raise ConfigError(f"{folder}: the audit log cannot be read: {error.strerror}") from error
    proven = checkpoint.sequence if checkpoint is not None and walk.at_checkpoint and found is None else None
    return Verification(len(paths), walk.sequence + 1, walk.log, proven, walk.repairs, found)


def entries(folder: Path) -> Iterator[Entry]:
    """Return the entries of a log in order, until the first line that is none."""
    for path in files.segments(folder):
        with path.open("rb") as file:
            while line := file.readline(MAX_ENTRY_BYTES + 2):
                try:
                    yield parse_line(line.removesuffix(b"\n"))
                except BrokenEntry:
                    return


def _follow(paths: list[Path], walk: _Walk, checkpoint: Checkpoint | None) -> Break | None:
    for number, path in enumerate(paths, start=1):
        if files.number_of(path) != number:
            return Break(files.segment_name(number), 0, "this file is missing")
        found = _follow_file(path, walk, checkpoint)
        if found is not None:
            return found
    if checkpoint is None or walk.at_checkpoint:
        return None
    missing = f"the log ends with entry {walk.sequence}, and the checkpoint was signed for entry {checkpoint.sequence}"
    return Break(paths[-1].name, 0, missing)


def _follow_file(path: Path, walk: _Walk, checkpoint: Checkpoint | None) -> Break | None:
    count = 0
    with path.open("rb") as file:
        while line := file.readline(MAX_ENTRY_BYTES + 2):
            count += 1
            if not line.endswith(b"\n"):
                what = "this line has no end: it was cut, or a crash left it, which the next entry repairs"
                return Break(path.name, count, what)
            try:
                entry = parse_line(line[:-1])
            except BrokenEntry as error:
                return Break(path.name, count, str(error))
            what = _misfit(entry, walk, checkpoint)
            if what is not None:
                return Break(path.name, count, what)
    return None if count else Break(path.name, 0, "this file is empty")


def _misfit(entry: Entry, walk: _Walk, checkpoint: Checkpoint | None) -> str | None:
    """Take the next entry; return why it is not the next one."""
    if entry.sequence != walk.sequence + 1:
        return f"entry {entry.sequence} stands where entry {walk.sequence + 1} belongs"
    if entry.previous != walk.digest:
        return f"entry {entry.sequence} does not follow the one before it"
    if entry.sequence == 0:
        name = entry.body.get("log")
        if entry.kind != "log_created" or not isinstance(name, str):
            return "the first entry does not create a log"
        walk.log = name
        if checkpoint is not None and checkpoint.log != name:
            return "this is another log than the checkpoint was signed for"
    elif entry.kind == "log_created":
        return "a log is created in the middle of another one"
    walk.sequence, walk.digest = entry.sequence, entry.digest
    walk.repairs += entry.kind == "log_repaired"
    if checkpoint is not None and entry.sequence == checkpoint.sequence:
        if entry.digest != checkpoint.digest:
            return f"entry {entry.sequence} is not the one that the checkpoint was signed for"
        walk.at_checkpoint = True
    return None
