"""Records on disk: written whole or not at all, read back strictly and within bounds. Judges nothing."""

import dataclasses
import gzip
import io
import os
import types
import typing
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from voicectl.bench.run_record import FORMAT, RunRecord
from voicectl.core.errors import ConfigError, UsageError

SUFFIX: Final = ".json.gz"
MAX_FILE_BYTES: Final = 64 * 2**20
MAX_RECORD_BYTES: Final = 256 * 2**20
"""Unpacked. A turn takes about 700 bytes: room for 370,000 of them."""
MAX_CALLS: Final = 200_000
MAX_TURNS: Final = 500_000
_GZIP_MAGIC: Final = b"\x1f\x8b"
_PRIVATE: Final = 0o600
_MAX_UNKNOWN_SHOWN: Final = 3


class RecordUnreadable(ConfigError):
    """A file is no record of a run that this version can read; names the file and the reason."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}", hint="`voicectl bench run` writes records, as voicectl-bench-….json.gz")


def default_name(now: datetime) -> str:
    """Return the name of a record made at `now`."""
    return f"voicectl-bench-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}{SUFFIX}"


def check_writable(path: Path, *, option: str) -> None:
    """Refuse a file that could not be written, before any work is done. Raises UsageError."""
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder", hint=f"{option} takes the name of a file")
    if not folder.is_dir():
        raise UsageError(f"{option} {path}: the folder {folder} does not exist", hint=f"mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise UsageError(f"{option} {path}: no permission to write there")


def write_whole(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file, whole or not at all; a private one is for its owner only. Raises UsageError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(partial, flags, _PRIVATE if private else 0o666), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def write_record(path: Path, record: RunRecord) -> None:
    """Write a record; packed, and the same bytes for the same record. Raises UsageError."""
    content = msgspec.json.encode(record)
    packed = gzip.compress(content, compresslevel=6, mtime=0) if path.name.endswith(".gz") else content
    # What callers of a workload said, and what they were answered, may be anybody's.
    write_whole(path, packed, private=True)


def read_record(path: Path) -> RunRecord:
    """Return the record in a file of JSON, packed or not. Raises RecordUnreadable."""
    content = _unpacked(path, _bytes_of(path))
    try:
        written = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordUnreadable(path, f"no record of a run: {error}") from error
    if not isinstance(written, dict) or "format" not in written:
        raise RecordUnreadable(path, "no record of a run: it names no format")
    if written["format"] != FORMAT:
        raise RecordUnreadable(path, f"a record of format {written['format']!r}; this voicectl reads format {FORMAT}")
    try:
        record = msgspec.convert(written, RunRecord)
    except msgspec.ValidationError as error:
        raise RecordUnreadable(path, f"no sound record: {error}") from error
    unknown = list(_unknown(written, RunRecord, "$"))
    if unknown:
        more = f" and {len(unknown) - _MAX_UNKNOWN_SHOWN} more" if len(unknown) > _MAX_UNKNOWN_SHOWN else ""
        raise RecordUnreadable(path, f"unknown keys: {', '.join(unknown[:_MAX_UNKNOWN_SHOWN])}{more}")
    for problem in _problems(record):
        raise RecordUnreadable(path, problem)
    return record


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RecordUnreadable(path, f"cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise RecordUnreadable(path, f"larger than {MAX_FILE_BYTES >> 20} MiB, which no record is")
    return content


def _unpacked(path: Path, content: bytes) -> bytes:
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            unpacked = file.read(MAX_RECORD_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RecordUnreadable(path, f"damaged or cut off: {error}") from error
    if len(unpacked) > MAX_RECORD_BYTES:
        raise RecordUnreadable(path, f"unpacks to more than {MAX_RECORD_BYTES >> 20} MiB, which no record does")
    return unpacked


def _unknown(written: Any, form: Any, where: str) -> Iterator[str]:
    """Yield the keys of `written` that the dataclass `form` does not have; msgspec passes over them."""
    if isinstance(form, type) and dataclasses.is_dataclass(form) and isinstance(written, dict):
        hints = typing.get_type_hints(form)
        for key, value in written.items():
            if key in hints:
                yield from _unknown(value, hints[key], f"{where}.{key}")
            else:
                yield f"{where}.{key}"
        return
    arguments = typing.get_args(form)
    if typing.get_origin(form) is tuple and isinstance(written, list):
        for number, value in enumerate(written):
            yield from _unknown(value, arguments[0], f"{where}[{number}]")
    elif isinstance(form, types.UnionType):
        for choice in arguments:
            yield from _unknown(written, choice, where)


def _problems(record: RunRecord) -> Iterator[str]:
    num_turns = sum(len(call.turns) for call in record.calls)
    if len(record.calls) > MAX_CALLS or num_turns > MAX_TURNS:
        yield f"{len(record.calls)} calls with {num_turns} turns is more than any run makes"
    try:
        datetime.fromisoformat(record.begun_at)
    except ValueError:
        yield f"$.begun_at: {record.begun_at!r} is no instant"
    plan = record.plan
    for name, value in (("wall_s", record.wall_s), ("plan.duration_s", plan.duration_s)):
        if value < 0:
            yield f"$.{name}: {value} is no duration"
    for call in record.calls:
        for turn in call.turns:
            where = f"call {call.call}, turn {turn.turn}"
            durations: Sequence[tuple[str, float | None]] = (
                ("censored_s", turn.censored_s),
                ("v2v_s", turn.v2v_s),
                ("barge_in_stop_s", turn.barge_in_stop_s),
                ("barge_in_censored_s", turn.barge_in_censored_s),
            )
            for name, duration in durations:
                if duration is not None and duration < 0:
                    yield f"{where}: {name} is {duration}, which is no duration"
