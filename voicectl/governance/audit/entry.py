"""One line of an audit log: canonical JSON (RFC 8785) that names its place and the entry before it."""

import hashlib
import hmac
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import rfc8785

from voicectl.governance.audit.kinds import AuditEntryRefused, checked_body

MAX_ENTRY_BYTES: Final = 64 * 1024
NOTHING: Final = "0" * 64
"""What the first entry names as the one before it."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_FIELDS: Final = frozenset({"at", "body", "hash", "kind", "previous", "sequence"})


class BrokenEntry(ValueError):
    """A line is no entry, or not as it was written; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened. `at` is seconds since the epoch; `digest` covers all the rest, `previous` too."""

    sequence: int
    at: float
    kind: str
    body: Mapping[str, Any]
    previous: str
    digest: str


def new_entry(sequence: int, at: float, kind: str, body: Mapping[str, Any], previous: str) -> Entry:
    """Return the entry that comes behind the one with the digest `previous`. Raises AuditEntryRefused."""
    written = checked_body(kind, body)
    try:
        digest = _digest(_fields(sequence, at, kind, written, previous))
        entry = Entry(sequence, at, kind, written, previous, digest)
        size = len(line_of(entry))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise AuditEntryRefused(f"audit log: {kind}: cannot be written as JSON: {error}") from error
    if size > MAX_ENTRY_BYTES:
        raise AuditEntryRefused(f"audit log: {kind}: {size} bytes, the limit is {MAX_ENTRY_BYTES}")
    return entry


def line_of(entry: Entry) -> bytes:
    """Return the line, with its end."""
    fields = _fields(entry.sequence, entry.at, entry.kind, entry.body, entry.previous)
    return rfc8785.dumps(fields | {"hash": entry.digest}) + b"\n"


def parse_line(line: bytes) -> Entry:
    """Return the entry of a line without its end. Every byte counts. Raises BrokenEntry."""
    if len(line) > MAX_ENTRY_BYTES:
        raise BrokenEntry("longer than an entry can be")
    try:
        fields = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenEntry("not JSON") from error
    if not isinstance(fields, dict) or set(fields) != _FIELDS:
        raise BrokenEntry("not the fields of an entry")
    sequence, at, kind, body = fields["sequence"], fields["at"], fields["kind"], fields["body"]
    numbers = type(sequence) is int and type(at) in (int, float) and math.isfinite(at)
    digests = all(isinstance(fields[name], str) and _DIGEST.fullmatch(fields[name]) for name in ("hash", "previous"))
    if not (numbers and digests and isinstance(kind, str) and isinstance(body, dict)):
        raise BrokenEntry("a field has another type than in an entry")
    entry = Entry(sequence, float(at), kind, body, fields["previous"], fields["hash"])
    try:
        if not hmac.compare_digest(_digest(_fields(sequence, at, kind, body, entry.previous)), entry.digest):
            raise BrokenEntry("its text does not have its hash")
        if line_of(entry) != line + b"\n":
            raise BrokenEntry("not in canonical form")
    except rfc8785.CanonicalizationError as error:
        raise BrokenEntry("not in canonical form") from error
    return entry


def _fields(sequence: int, at: float, kind: str, body: Mapping[str, Any], previous: str) -> dict[str, Any]:
    return {"at": at, "body": dict(body), "kind": kind, "previous": previous, "sequence": sequence}


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(rfc8785.dumps(dict(fields))).hexdigest()
