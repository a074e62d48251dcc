"""Prove that an audit log is what was written: every file, line and byte, up to a signed checkpoint and beyond."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from voicectl.core.errors import ConfigError
from voicectl.governance.audit import segments as files
from voicectl.governance.audit.checkpoint import Checkpoint
from voicectl.governance.audit.entry import MAX_ENTRY_BYTES, NOTHING, BrokenEntry, Entry, parse_line

CLOCK_STEP_S: Final = 60.0
"""How far clocks may be apart, or step back when they are set, without anybody wondering."""


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

    `first` is the entry that created the log, `newest_at` the latest time of an entry, and `num_backward` the entries
    that are more than `CLOCK_STEP_S` older than one before them. `last` is the newest entry of each kind.
    """

    num_files: int
    num_entries: int
    log: str | None
    proven: int | None
    repairs: int
    first_break: Break | None
    first: Entry | None = None
    newest_at: float | None = None
    num_backward: int = 0
    last: Mapping[str, Entry] = field(default_factory=dict)

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
    first: Entry | None = None
    newest_at: float | None = None
    num_backward: int = 0
    last: dict[str, Entry] = field(default_factory=dict)


def verify(folder: Path, checkpoint: Checkpoint | None = None) -> Verification:
    """Follow the chain of a log from its first entry to its last. Raises ConfigError when there is no log."""
    paths = files.segments(folder)
    if not paths:
        if checkpoint is not None:
            return Verification(0, 0, None, None, 0, Break(str(folder), 0, "no file of the log is left"))
        raise ConfigError(f"{folder}: there is no audit log", hint="the service begins one, or `voicectl audit init`")
    walk = _Walk()
    try:
        found = _follow(paths, walk, checkpoint)
    except OSError as error:
        raise ConfigError(f"{folder}: the audit log cannot be read: {error.strerror}") from error
    proven = checkpoint.sequence if checkpoint is not None and walk.at_checkpoint and found is None else None
    return Verification(
        len(paths), walk.sequence + 1, walk.log, proven, walk.repairs, found,
        first=walk.first, newest_at=walk.newest_at, num_backward=walk.num_backward, last=walk.last,
    )  # fmt: skip


def entries(folder: Path) -> Iterator[Entry]:
    """Return the entries of a log in order, until the first line that is none."""
    for path in files.segments(folder):
        with path.open("rb") as file:
            while line := file.readline(MAX_ENTRY_BYTES + 2):
                try:
                    yield parse_line(line.removesuffix(b"\n"))
                except BrokenEntry:
                    return


def lost(folder: Path, checkpoint: Checkpoint) -> str | None:
    """Return how a log came to end without a checkpoint's entry, None if it goes on from it.

    Reads backwards from the end, and no further than that entry.
    """
    missing = f"the log has no entry {checkpoint.sequence}, for which the last checkpoint was signed"
    following: Entry | None = None
    for path in reversed(files.segments(folder)):
        for line in files.lines_backwards(path):
            try:
                entry = parse_line(line)
            except BrokenEntry as error:
                return f"{path.name}: {error}"
            if following is not None and following.previous != entry.digest:
                return f"{path.name}: entry {following.sequence} does not follow the one before it"
            if entry.sequence <= checkpoint.sequence:
                same = (entry.sequence, entry.digest) == (checkpoint.sequence, checkpoint.digest)
                return None if same else missing
            following = entry
    return missing


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
            misfit = _misfit(entry, walk, checkpoint)
            if misfit is not None:
                return Break(path.name, count, misfit)
    return None if count else Break(path.name, 0, "this file is empty")


def _misfit(  # noqa: PLR0911 - one return a misfit
    entry: Entry, walk: _Walk, checkpoint: Checkpoint | None
) -> str | None:
    """Take the next entry; return why it is not the next one."""
    if entry.sequence != walk.sequence + 1:
        return f"entry {entry.sequence} stands where entry {walk.sequence + 1} belongs"
    if entry.previous != walk.digest:
        return f"entry {entry.sequence} does not follow the one before it"
    if entry.sequence == 0:
        name = entry.body.get("log")
        if entry.kind != "log_created" or not isinstance(name, str):
            return "the first entry does not create a log"
        walk.log, walk.first = name, entry
        if checkpoint is not None and checkpoint.log != name:
            return "this is another log than the checkpoint was signed for"
    elif entry.kind == "log_created":
        return "a log is created in the middle of another one"
    walk.sequence, walk.digest = entry.sequence, entry.digest
    _note(entry, walk)
    if checkpoint is not None and entry.sequence == checkpoint.sequence:
        if entry.digest != checkpoint.digest:
            return f"entry {entry.sequence} is not the one that the checkpoint was signed for"
        walk.at_checkpoint = True
    return None


def _note(entry: Entry, walk: _Walk) -> None:
    walk.repairs += entry.kind == "log_repaired"
    walk.last[entry.kind] = entry
    latest = entry.at if walk.newest_at is None else walk.newest_at
    walk.num_backward += entry.at < latest - CLOCK_STEP_S
    walk.newest_at = max(entry.at, latest)
