"""What a host remembers of its releases, and its text on disk. Knows no folder and no service."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Literal, TypeVar

from .faults import Damaged

SCHEMA: Final = 1
_T = TypeVar("_T")

Kind = Literal["activate", "rollback", "restart"]
Phase = Literal["gate", "switch", "restart", "prove", "back", "revive", "reprove"]
Result = Literal["good", "refused", "returned", "stranded", "interrupted"]
Status = Literal["staged", "good", "failed"]


@dataclass(frozen=True, slots=True)
class Release:
    """One release of the host. `good` is said only of one that served and passed its gate; times are UTC.

    `left_at` is when a rollback went away from it. `inventory_sha256` is the digest of the list of its files.
    """

    release_id: str
    status: Status
    version: str
    serial: int
    inventory_sha256: str
    staged_at: str
    good_at: str | None = None
    failed_at: str | None = None
    left_at: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A change in progress. `phase` is what is being done, or was when the program or the host died.

    `origin` is the release that served before, None if none did; `reason` is why the way leads back.
    """

    kind: Kind
    target: str
    origin: str | None
    phase: Phase
    began_at: str
    reason: str | None = None
    revive: bool = True
    """Whether the service may run something else than `origin`, and must be restarted behind the way back."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the last change ended."""

    kind: Kind
    target: str
    origin: str | None
    result: Result
    began_at: str
    ended_at: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What the last verification found; `drift` is cut, `num_drift` is not."""

    at: str
    deep: bool
    num_files: int
    num_bytes: int
    took_s: float
    num_drift: int
    drift: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """Everything. `active` is the release last marked good: what `current` must point to when nothing is in progress.

    `configuration` holds the digest of every file of the host's configuration as it was last accepted.
    """

    active: str | None = None
    previous: str | None = None
    attempt: Attempt | None = None
    releases: Mapping[str, Release] = field(default_factory=dict)
    taint: tuple[str, ...] = ()
    configuration: Mapping[str, str] = field(default_factory=dict)
    last: Outcome | None = None
    verification: Verification | None = None

    def with_release(self, release: Release) -> "State":
        """Return the state with one release put in or replaced."""
        return replace(self, releases={**self.releases, release.release_id: release})

    def without(self, release_ids: frozenset[str]) -> "State":
        """Return the state without some releases."""
        kept = {name: release for name, release in self.releases.items() if name not in release_ids}
        return replace(self, releases=kept, previous=None if self.previous in release_ids else self.previous)

    @property
    def serial(self) -> int | None:
        """Return the serial of the active release; None when none is active."""
        release = None if self.active is None else self.releases.get(self.active)
        return None if release is None else release.serial


def encode(state: State) -> bytes:
    """Return the text of a state."""
    return (json.dumps({"schema": SCHEMA, **asdict(state)}, indent=1, sort_keys=True) + "\n").encode()


def decode(content: bytes) -> State:
    """Return the state of a text. Raises Damaged when it is none."""
    try:
        document = json.loads(content)
        if document.pop("schema") != SCHEMA:
            raise Damaged("the state of this host was written by another version of this program")
        verification = _record(Verification, document.pop("verification"))
        return State(
            attempt=_record(Attempt, document.pop("attempt")),
            releases={name: Release(**release) for name, release in document.pop("releases").items()},
            taint=tuple(document.pop("taint")),
            last=_record(Outcome, document.pop("last")),
            verification=verification and replace(verification, drift=tuple(verification.drift)),
            **_only_known(document),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Damaged(
            f"the state of this host cannot be read: {error}",
            hint="restore /var/lib/voicectl/release/state.json from a backup; nothing was changed",
        ) from error


def _record(kind: type[_T], document: Mapping[str, Any] | None) -> _T | None:
    return None if document is None else kind(**document)


def _only_known(document: dict[str, Any]) -> dict[str, Any]:
    known = {entry.name for entry in fields(State)}
    if unknown := sorted(set(document) - known):
        raise ValueError(f"unknown keys {', '.join(unknown)}")
    return document
