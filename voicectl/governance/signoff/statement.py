"""What a reviewer signs: an in-toto statement over the digests that the decision rests on. Knows no keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec
import rfc8785

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "urn:voicectl:gate-signoff:v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
CLOCK_SKEW_S: Final = 60.0
"""How far the clocks of signers and of the host may be apart."""
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Bindings:
    """The sha256 of everything that a signature stands for. `state` is the rollout state that it would replace."""

    policy: str
    evidence: str
    configuration: str
    audit_checkpoint: str
    attestations: str
    reviewers: str
    state: str


class Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The decision, who vouches for it, and when. Instants are seconds since the epoch."""

    tier: Literal["low", "medium", "high"]
    use_cases: tuple[str, ...]
    as_of: float
    reviewer: str
    role: str
    date: float
    expires_at: float


class _Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    digest: dict[Literal["sha256"], Sha256]


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"kind": "_type"}):
    kind: Literal["https://in-toto.io/Statement/v1"]
    subject: tuple[_Subject, ...]
    predicateType: Literal["urn:voicectl:gate-signoff:v1"]  # noqa: N815 - in-toto's spelling
    predicate: Signed


def payload_of(signed: Signed, bindings: Bindings) -> bytes:
    """Return the canonical bytes of the statement."""
    subjects = [{"name": name, "digest": {"sha256": digest}} for name, digest in _named(bindings).items()]
    document = {
        "_type": STATEMENT,
        "subject": subjects,
        "predicateType": PREDICATE,
        "predicate": msgspec.to_builtins(signed),
    }
    return rfc8785.dumps(document)


def read_payload(payload: bytes) -> tuple[Signed, Bindings]:
    """Return what was signed. Raises ValueError when it is no such statement, or not in its canonical form."""
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
        digests = {subject.name: subject.digest["sha256"] for subject in statement.subject}
        found = statement.predicate, Bindings(**digests)
    except (msgspec.MsgspecError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"no sign-off statement: {error}") from error
    if payload_of(*found) != payload:
        raise ValueError("not in its canonical form")
    return found


def differing(signed: Bindings, now: Bindings) -> tuple[str, ...]:
    """Return the names of what is no longer what was signed."""
    was, known = _named(signed), _named(now)
    return tuple(name for name in was if was[name] != known[name])


def _named(bindings: Bindings) -> Mapping[str, Any]:
    return {name: getattr(bindings, name) for name in Bindings.__slots__}
