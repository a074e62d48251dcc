"""Which tier each use case is open in, as the gate wrote it; and whether a call of one may be taken.

No file: nothing was ever promoted, so that the lowest tier alone is open. A file that cannot be read, or whose
promotions nobody signed: nothing is open, for it may have held a demotion. Refused calls go to people.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from voicectl.core.errors import ConfigError
from voicectl.core.records import Tier
from voicectl.core.rollout import Admitted, Refused, tier_in
from voicectl.governance.audit.segments import exclusive, write_whole
from voicectl.governance.policy.schema import TIERS, Policy

FILE_NAME: Final = "rollout.json"
LOCK_FILE: Final = "rollout.lock"
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
class Enforcement:
    """A Rollout: the policy and the state, as the service asks them for every call. Immutable; never waits.

    `policy_sha256` is of the policy's file; None where it is not known.
    """

    policy: Policy
    state: RolloutState = field(default_factory=RolloutState)
    policy_sha256: str | None = None

    def admit(self, use_case: str) -> Admitted | Refused:
        """Return whether a call of this use case may be taken."""
        tier = self.policy.tier_of(use_case)
        if tier is None:
            return Refused("use_case_unknown", f"the gate policy does not list the use case {use_case!r}")
        if self.state.problem is not None:
            return Refused("rollout_unproven", f"what was opened cannot be proven: {self.state.problem}")
        return _after(self.state.last_change(use_case), tier)

    def tier_of(self, use_case: str) -> Tier | None:
        """Return the tier in which a use case is served; None while it gets no traffic."""
        return tier_in(self, use_case)

    def is_open(self, use_case: str) -> bool:
        """Tell whether a use case gets traffic."""
        return isinstance(self.admit(use_case), Admitted)


def _after(change: Change | None, tier: Tier) -> Admitted | Refused:
    """Return what the last change of a use case means in the tier that the policy has it in."""
    if change is None and tier != TIERS[0]:
        return Refused("use_case_not_promoted", f"tier {tier} was not opened for it")
    if change is not None and change.action == "demote":
        return Refused("use_case_demoted", f"demoted: {change.reason}")
    if change is not None and change.tier != tier:
        return Refused("use_case_not_promoted", f"promoted as tier {change.tier}; the policy now says {tier}")
    return Admitted(tier)


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


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Keep other writers of a state out between reading and replacing it: none may undo a demotion unseen.

    Raises LockedError, and ConfigError for a folder that cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with exclusive(path.parent, name=LOCK_FILE, what="the rollout state"):
            yield
    except OSError as error:
        raise ConfigError(
            f"{path.parent}: cannot be written: {error.strerror}", hint=f"check its owner: ls -ld {path.parent}"
        ) from error


def write_state(path: Path, changes: tuple[Change, ...]) -> RolloutState:
    """Replace the file in one step, and return when it is on disk. Raises ConfigError."""
    content = state_bytes(changes)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror}", hint=f"check its owner: ls -l {path.parent}"
        ) from error
    return parse_state(content)
