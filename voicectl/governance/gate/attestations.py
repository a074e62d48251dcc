"""Read what people vouch for: entry requirements and the checklist, each with its owner, date and document."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import rfc8785
from pydantic import Field, field_validator

from voicectl.core.disk import open_regular
from voicectl.core.records import Tier
from voicectl.governance.policy.document import close_to, read_document
from voicectl.governance.policy.errors import EvidenceUnfit
from voicectl.governance.policy.persons import Note, Person
from voicectl.governance.policy.schema import Name, Part, Policy

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
_START: Final = "docs/gating.md shows such a file"
_READ_BYTES: Final = 1024 * 1024


class Item(Part):
    """One thing that somebody vouches for. Without `tier` or `use_cases` it holds for all."""

    name: Name
    owner: Person
    date: dt.date
    tier: Tier | None = None
    use_cases: tuple[Name, ...] = ()
    file: Note | None = None
    note: Note | None = None
    expires: dt.date | None = None

    @field_validator("date", "expires", mode="before")
    @classmethod
    def _is_a_day(cls, value: object) -> object:
        if value is not None and (not isinstance(value, dt.date) or hasattr(value, "hour")):
            raise ValueError(f"{value!r} is no date: write it as 2026-01-31")
        return value


class Attestations(Part):
    """A file of evidence. `author` is who made the change that is to go live, and may not sign for it."""

    api_version: Literal["voicectl/v1"] = Field(alias="apiVersion")
    kind: Literal["GateEvidence"]
    author: Person
    items: Annotated[tuple[Item, ...], Field(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Attested:
    """What was read: the items, and a digest of the file and of every document that it names."""

    author: str
    items: tuple[Item, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Requirement:
    """One entry requirement or item of the checklist, and whether somebody vouches for it."""

    name: str
    group: Literal["entry", "checklist"]
    held: bool
    detail: str


def read_attestations(path: Path | None, policy: Policy) -> Attested:
    """Return the evidence of a file; without a file nobody vouches for anything. Raises EvidenceUnfit."""
    if path is None:
        return Attested("", (), hashlib.sha256(b"").hexdigest())
    document = read_document(path, Attestations, EvidenceUnfit, start=_START)
    known = {*policy.checklist, *(name for rules in policy.tiers.values() for name in rules.entry_requires)}
    for number, item in enumerate(document.content.items):
        if item.name not in known:
            line = document.line_of("items", number, "name")
            raise EvidenceUnfit(
                f"{path}:{line}: items.{number}.name: the policy asks for no {item.name!r}",
                hint=close_to(item.name, sorted(known)) or _START,
            )
    files = {item.file: _digest_of(path, item.file) for item in document.content.items if item.file is not None}
    digest = hashlib.sha256(rfc8785.dumps({"evidence": document.sha256, "files": files})).hexdigest()
    return Attested(document.content.author, document.content.items, digest)


def requirements(
    policy: Policy, tier: Tier, use_cases: Sequence[str], attested: Attested, today: dt.date
) -> tuple[Requirement, ...]:
    """Return what has to be vouched for before these use cases of a tier go live."""
    return tuple(_requirements(policy, tier, use_cases, attested, today))


def _requirements(
    policy: Policy, tier: Tier, use_cases: Sequence[str], attested: Attested, today: dt.date
) -> Iterator[Requirement]:
    for name in policy.tiers[tier].entry_requires:
        yield _one(name, "entry", tier=tier, use_cases=use_cases, attested=attested, today=today)
    for name in policy.checklist:
        if name == "signoff_recorded":
            # The gate itself sees to it: nobody has to vouch for signatures that are checked.
            continue
        yield _one(name, "checklist", tier=tier, use_cases=use_cases, attested=attested, today=today)


def _one(
    name: str,
    group: Literal["entry", "checklist"],
    *,
    tier: Tier,
    use_cases: Sequence[str],
    attested: Attested,
    today: dt.date,
) -> Requirement:
    items = [item for item in attested.items if item.name == name and item.tier in (None, tier)]
    if not items:
        return Requirement(name, group, False, "nobody vouches for it")
    valid = [item for item in items if item.date <= today and (item.expires is None or today <= item.expires)]
    if not valid:
        item = items[-1]
        why = f"dated {item.date}, in the future" if item.date > today else f"expired on {item.expires}"
        return Requirement(name, group, False, why)
    covered = {name for item in valid for name in (item.use_cases or use_cases)}
    if left := [use_case for use_case in use_cases if use_case not in covered]:
        return Requirement(name, group, False, f"nobody vouches for it for {', '.join(left)}")
    item = valid[-1]
    return Requirement(name, group, True, f"{item.owner}, {item.date}" + (f", {item.file}" if item.file else ""))


def _digest_of(evidence: Path, name: str) -> str:
    path = evidence.parent / name
    digest, left = hashlib.sha256(), MAX_FILE_BYTES
    try:
        with open_regular(path) as file:
            while content := file.read(_READ_BYTES):
                digest.update(content)
                left -= len(content)
                if left < 0:
                    raise EvidenceUnfit(f"{path}: more than {MAX_FILE_BYTES} bytes", hint="name a smaller document")
    except OSError as error:
        raise EvidenceUnfit(
            f"{path}: named in {evidence}, cannot be read: {error.strerror}", hint="put it there, or correct the name"
        ) from error
    return digest.hexdigest()
