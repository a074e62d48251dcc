"""Which tier each use case is open in, as the gate wrote it; and whether a call of one may be taken.

No file: nothing was ever promoted, so that the lowest tier alone is open. A file that cannot be read, or whose
promotions nobody signed: nothing is open, for it may have held a demotion. Refused calls go to people.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from voicectl.core.errors import ConfigError
from voicectl.core.records import Tier
from voicectl.governance.policy.schema import TIERS, Policy

FILE_NAME: Final = "rollout.json"
MAX_BYTES: Final = 4 * 1024 * 1024
UseCase = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One move: of these use cases, into a tier, or out of traffic. `signoffs` are envelopes, base64."""

    action: Literal["promote", "demote"]
    tier: Literal["low", "medium", "high"]
    use_cases: tuple[UseCase, ...]
    at: float
    by: str
    reason: str
    previous: str
    signoffs: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"version": "apiVersion"}):
    version: Literal["voicectl/v1"]
    kind: Literal["GateRollout"]
    changes: Annotated[tuple[Change, ...], msgspec.Meta(max_length=1_000)]


@dataclass(frozen=True, slots=True)
class RolloutState:
    """What the changes add up to. `serial` counts them; `digest` is of the file, empty before the first."""

    changes: tuple[Change, ...] = ()
    digest: str = hashlib.sha256(b"").hexdigest()
    problem: str | None = None

    @property
    def serial(self) -> int:
        """How many changes there were."""
        return len(self.changes)

    def last_change(self, use_case: str) -> Change | None:
        """Return what was last done with a use case."""
        return next((change for change in reversed(self.changes) if use_case in change.use_cases), None)

    def entered_at(self, use_case: str) -> float | None:
        """Return since when a use case is open; None if it is not, or always was."""
        change = self.last_change(use_case)
        return change.at if change is not None and change.action == "promote" else None


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call may be taken, in this tier."""

    tier: Tier


@dataclass(frozen=True, slots=True)
class Refused:
    """A call may not be taken. Its caller belongs to a person, who is told the reason."""

    reason: str
    route_to_human: bool = True


@dataclass(frozen=True, slots=True)
class Enforcement:
    """A Rollout: the policy and the state, as the service asks them for every call. Immutable; never waits."""

    policy: Policy
    state: RolloutState = field(default_factory=RolloutState)

    def admit(self, use_case: str) -> Admitted | Refused:
        """Return whether a call of this use case may be taken."""
        tier = self.policy.tier_of(use_case)
        if tier is None:
            return Refused(f"the gate policy does not list the use case {use_case!r}")
        if self.state.problem is not None:
            return Refused(f"the rollout state cannot be believed: {self.state.problem}")
        change = self.state.last_change(use_case)
        if change is None:
            return Admitted(tier) if tier == TIERS[0] else Refused(f"tier {tier} was not opened for it")
        if change.action == "demote":
            return Refused(f"demoted: {change.reason}")
        if change.tier != tier:
            return Refused(f"promoted as tier {change.tier}; the policy now says {tier}")
        return Admitted(tier)

    def tier_of(self, use_case: str) -> Tier | None:
        """Return the tier in which a use case is served; None while it gets no traffic."""
        found = self.admit(use_case)
        return found.tier if isinstance(found, Admitted) else None

    def is_open(self, use_case: str) -> bool:
        """Tell whether a use case gets traffic."""
        return isinstance(self.admit(use_case), Admitted)


def open_use_cases(enforcement: Enforcement) -> Mapping[Tier, tuple[str, ...]]:
    """Return the use cases that get traffic, by tier."""
    return {
        tier: tuple(name for name in rules.use_cases if enforcement.is_open(name))
        for tier, rules in enforcement.policy.tiers.items()
    }


def parse_state(content: bytes) -> RolloutState:
    """Return the state that a file holds. Raises ValueError."""
    try:
        document = msgspec.json.decode(content, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no rollout state: {error}") from error
    previous = hashlib.sha256(b"").hexdigest()
    for number, change in enumerate(document.changes):
        if change.previous != previous:
            raise ValueError(f"change {number + 1} does not follow from the one before it")
        previous = hashlib.sha256(state_bytes(document.changes[: number + 1])).hexdigest()
    if state_bytes(document.changes) != content:
        raise ValueError("it is not as the gate writes it")
    return RolloutState(document.changes, previous)


def state_bytes(changes: tuple[Change, ...]) -> bytes:
    """Return the file that holds these changes."""
    return msgspec.json.format(
        msgspec.json.encode(_File(version="voicectl/v1", kind="GateRollout", changes=changes)), indent=1
    ) + b"\n"  # fmt: skip


def read_state(path: Path) -> RolloutState:
    """Return the state of a file. One that cannot be believed has a `problem`, and opens nothing; never raises."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return RolloutState()
    except OSError as error:
        return RolloutState(problem=f"{path}: {error.strerror}")
    if len(content) > MAX_BYTES:
        return RolloutState(problem=f"{path}: more than {MAX_BYTES} bytes")
    try:
        return parse_state(content)
    except ValueError as error:
        return RolloutState(problem=f"{path}: {error}")


def write_state(path: Path, changes: tuple[Change, ...]) -> RolloutState:
    """Replace the file in one step, and return when it is on disk. Raises ConfigError."""
    content = state_bytes(changes)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = path.stat() if path.exists() else path.parent.stat()
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if os.geteuid() == 0:
                # Root decides for a gateway that runs as somebody else: the file stays with its reader.
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror}", hint=f"check its owner: ls -l {path.parent}"
        ) from error
    return parse_state(content)
