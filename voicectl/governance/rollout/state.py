"""Which tier each use case is open in, as the gate wrote it; and whether a call of one may be taken.

No file: nothing was ever promoted, so that the lowest tier alone is open. A file that cannot be read, or whose
promotions nobody signed: nothing is open, for it may have held a demotion. Refused calls go to people.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from voicectl.core.disk import open_regular
from voicectl.core.errors import ConfigError
from voicectl.core.records import Tier
from voicectl.core.rollout import Admitted, Refused, tier_in
from voicectl.governance.audit.segments import exclusive, write_whole
from voicectl.governance.policy.schema import TIERS, Policy

FILE_NAME: Final = "rollout.json"
LOCK_FILE: Final = "rollout.lock"
MAX_BYTES: Final = 16 * 1024 * 1024
"""What is read at most, and what a demotion may fill."""
FULL_BYTES: Final = 4 * 1024 * 1024
"""From here on old changes are folded, and promotions refused that do not fit even so."""
MAX_CHANGES: Final = 1_000
KEPT_CHANGES: Final = 100
"""How many of the newest are left as they are: a service that looks every second has seen all the others."""
LAST_INSTANT: Final = 253_402_300_799.0
"""The end of the year 9999."""
UseCase = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One move: of these use cases, into a tier, or out of traffic. `signoffs` are envelopes, base64.

    `previous` is the digest of the state before it, which `appended` fills in. A promotion names the policy it was
    made under. `base` is the sha256 of the changes that were folded when this one was written.
    """

    action: Literal["promote", "demote"]
    tier: Literal["low", "medium", "high"]
    use_cases: tuple[UseCase, ...]
    at: Annotated[float, msgspec.Meta(ge=0, le=LAST_INSTANT)]
    by: str
    reason: str
    previous: str = ""
    signoffs: tuple[str, ...] = ()
    policy_digest: str | UnsetType = UNSET
    base: str | UnsetType = UNSET


class Base(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The first `serial` changes, folded: those that were the last of a use case. `digest` is of their state."""

    serial: Annotated[int, msgspec.Meta(ge=0)]
    digest: str
    changes: tuple[Change, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"version": "apiVersion"}):
    version: Literal["voicectl/v1"]
    kind: Literal["GateRollout"]
    base: Base | UnsetType = UNSET
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class RolloutState:
    """What the changes add up to: `changes` after those that were folded into `base`.

    `digest` is of the last change, and with it of every one before; of nothing before the first.
    """

    changes: tuple[Change, ...] = ()
    digest: str = hashlib.sha256(b"").hexdigest()
    problem: str | None = None
    base: Base | None = None

    @property
    def serial(self) -> int:
        """How many changes there were."""
        return len(self.changes) + (0 if self.base is None else self.base.serial)

    @property
    def known_changes(self) -> tuple[Change, ...]:
        """Every change that is still told, the folded ones first."""
        return self.changes if self.base is None else (*self.base.changes, *self.changes)

    @property
    def newest_at(self) -> float:
        """The latest instant of a change; 0 before the first."""
        return max((change.at for change in self.known_changes), default=0.0)

    def last_change(self, use_case: str) -> Change | None:
        """Return what was last done with a use case."""
        folded = () if self.base is None else self.base.changes
        newest_first = chain(reversed(self.changes), reversed(folded))
        return next((change for change in newest_first if use_case in change.use_cases), None)

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


def deciding(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    """Return the changes that are the last of one of their use cases."""
    last = {name: change for change in changes for name in change.use_cases}
    return tuple(change for change in changes if any(last[name] is change for name in change.use_cases))


def folded(state: RolloutState, num_changes: int) -> Base:
    """Return the first of a state's `changes`, with what was folded before: all that they still decide."""
    base = Base(serial=0, digest=RolloutState().digest, changes=()) if state.base is None else state.base
    taken = state.changes[:num_changes]
    return Base(
        serial=base.serial + num_changes,
        digest=_digest_of(taken[-1]) if taken else base.digest,
        changes=deciding((*base.changes, *taken)),
    )


def appended(state: RolloutState, *changes: Change) -> RolloutState:
    """Return the state after more changes. Folds old ones once they are many or large."""
    tail, digest = list(state.changes), state.digest
    for change in changes:
        tail.append(msgspec.structs.replace(change, previous=digest))
        digest = _digest_of(tail[-1])
    grown = RolloutState(tuple(tail), digest, base=state.base)
    if len(tail) <= MAX_CHANGES and _fits(grown):
        return grown
    shorter = _shortened(grown, KEPT_CHANGES)
    return shorter if _fits(shorter) else _shortened(grown, 1)


def _shortened(state: RolloutState, num_kept: int) -> RolloutState:
    """Return the state with all but the newest changes folded; the last one vouches for what they came to."""
    num_folded = max(0, len(state.changes) - num_kept)
    base = folded(state, num_folded)
    last = msgspec.structs.replace(state.changes[-1], base=hashlib.sha256(msgspec.json.encode(base)).hexdigest())
    return RolloutState((*state.changes[num_folded:-1], last), _digest_of(last), base=base)


def _fits(state: RolloutState) -> bool:
    return len(state_bytes(state)) <= FULL_BYTES


def _digest_of(change: Change) -> str:
    # Not of the file: what is folded changes it, and the digests of a chain must stay.
    return hashlib.sha256(msgspec.json.encode(change)).hexdigest()


def parse_state(content: bytes) -> RolloutState:
    """Return the state that a file holds. Raises ValueError."""
    try:
        document = msgspec.json.decode(content, type=_File)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"it is no rollout state: {error}") from error
    base = None if document.base is UNSET else document.base
    digest, vouched = RolloutState().digest if base is None else base.digest, None
    for number, change in enumerate(document.changes):
        if change.previous != digest:
            raise ValueError(f"change {number + 1} does not follow from the one before it")
        digest = _digest_of(change)
        vouched = vouched if change.base is UNSET else change.base
    if vouched != (None if base is None else hashlib.sha256(msgspec.json.encode(base)).hexdigest()):
        raise ValueError("what was folded is not what the gate folded")
    state = RolloutState(document.changes, digest, base=base)
    if state_bytes(state) != content:
        raise ValueError("it is not as the gate writes it")
    return state


def state_bytes(state: RolloutState) -> bytes:
    """Return the file that holds a state."""
    base = UNSET if state.base is None else state.base
    file = _File(version="voicectl/v1", kind="GateRollout", base=base, changes=state.changes)
    return msgspec.json.format(msgspec.json.encode(file), indent=1) + b"\n"


def read_state(path: Path) -> RolloutState:
    """Return the state of a file. One that cannot be believed has a `problem`, and opens nothing; never raises."""
    try:
        with open_regular(path) as file:
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


def refuse_oversized(path: Path, state: RolloutState) -> None:
    """Raise ConfigError for a state that is too large to be written. Demotions find room where promotions do not."""
    size = len(state_bytes(state))
    limit = MAX_BYTES if state.changes[-1].action == "demote" else FULL_BYTES
    if size > limit:
        raise ConfigError(
            f"{path}: would have {size} bytes, more than {limit}",
            hint="promote more use cases at a time, and keep the sign-offs small",
        )


def write_state(path: Path, state: RolloutState) -> RolloutState:
    """Replace the file in one step, and return when it is on disk. Raises ConfigError, and replaces nothing then."""
    refuse_oversized(path, state)
    content = state_bytes(state)
    written = parse_state(content)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror}", hint=f"check its owner: ls -l {path.parent}"
        ) from error
    return written
