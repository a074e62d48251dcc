"""Who may sign: the file of reviewers, their roles and public keys. Signs and checks nothing."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from voicectl.governance.policy.document import read_document
from voicectl.governance.policy.errors import SignOffMissing
from voicectl.governance.policy.persons import Person, same_person
from voicectl.governance.policy.schema import Name, Part

_START: Final = "docs/gating.md shows such a file; keys come from `ssh-keygen -t ed25519`"
MIN_RSA_BITS: Final = 2048
KINDS: Final = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
)


class Reviewer(Part):
    """A person, what they may sign as, and the public key in OpenSSH's form."""

    name: Person
    roles: Annotated[tuple[Name, ...], Field(min_length=1)]
    key: Annotated[str, Field(max_length=2000, pattern=r"^\S+ [A-Za-z0-9+/=]+( .*)?$")]


class ReviewerFile(Part):
    """The document of the file."""

    api_version: Literal["voicectl/v1"] = Field(alias="apiVersion")
    kind: Literal["GateReviewers"]
    reviewers: Annotated[tuple[Reviewer, ...], Field(min_length=1, max_length=256)]


@dataclass(frozen=True, slots=True)
class Reviewers:
    """The people by the id of their key, and the digest of the file that says so."""

    path: Path
    sha256: str
    by_key: Mapping[str, Reviewer]


def read_reviewers(path: Path) -> Reviewers:
    """Return the reviewers of a file. Raises SignOffMissing: without it nobody's signature counts."""
    document = read_document(path, ReviewerFile, SignOffMissing, start=_START)
    by_key: dict[str, Reviewer] = {}
    for number, reviewer in enumerate(document.content.reviewers):
        where = f"{path}:{document.line_of('reviewers', number)}: reviewers.{number}"
        try:
            key = key_id(reviewer.key)
        except ValueError as error:
            raise SignOffMissing(f"{where}.key: this public key cannot be used: {error}", hint=_START) from error
        if key in by_key:
            raise SignOffMissing(
                f"{where}.key: {by_key[key].name} and {reviewer.name} have the same key",
                hint="each person has their own",
            )
        if any(same_person(reviewer.name, other.name) for other in by_key.values()):
            raise SignOffMissing(f"{where}.name: {reviewer.name} is listed twice", hint="list each person once")
        by_key[key] = reviewer
    return Reviewers(path, document.sha256, by_key)


def key_id(public_key: str) -> str:
    """Return the key's type and blob, without its comment. Raises ValueError for no key, and for a weak one."""
    kind, _, rest = public_key.strip().partition(" ")
    blob = rest.split(" ")[0]
    try:
        content = base64.b64decode(blob, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    name = content[4 : 4 + int.from_bytes(content[:4], "big")]
    if name != kind.encode() or base64.b64encode(content).decode() != blob:
        raise ValueError("its text is not what its type says")
    if kind not in KINDS:
        raise ValueError(f"a key of kind {kind} is weak or unknown: use one of {', '.join(KINDS)}")
    if kind == "ssh-rsa" and (bits := _rsa_bits(content)) < MIN_RSA_BITS:
        raise ValueError(f"an RSA key of {bits} bits is too weak: {MIN_RSA_BITS} at least, or Ed25519")
    return f"{kind} {blob}"


def _rsa_bits(blob: bytes) -> int:
    # RFC 4253, section 6.6: the strings type, exponent, modulus.
    rest, field = blob, b""
    for _ in range(3):
        length = int.from_bytes(rest[:4], "big")
        field, rest = rest[4 : 4 + length], rest[4 + length :]
    return int.from_bytes(field, "big").bit_length()
