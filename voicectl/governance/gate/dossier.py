"""The folder of a decision in progress: the instant it is made for, and the sign-offs so far. Decides nothing."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from voicectl.core.errors import ConfigError
from voicectl.governance.policy.errors import SignOffMissing

FILE_NAME: Final = "decision.json"
SUFFIX: Final = ".dsse.json"
MAX_BYTES: Final = 65_536


class Proposal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be decided: which use cases of which tier, by the evidence as of which instant."""

    tier: Literal["low", "medium", "high"]
    use_cases: tuple[str, ...]
    as_of: float
    audit_checkpoint: str


@dataclass(frozen=True, slots=True)
class Dossier:
    """A proposal and the bytes of the sign-offs made for it, by role."""

    proposal: Proposal
    signoffs: Mapping[str, bytes]


def read_dossier(folder: Path) -> Dossier | None:
    """Return what the folder holds, None before anything was signed. Raises SignOffMissing for a damaged one."""
    path = folder / FILE_NAME
    try:
        content = _bounded(path)
        proposal = msgspec.json.decode(content, type=Proposal)
        signoffs = {one.name.removesuffix(SUFFIX): _bounded(one) for one in sorted(folder.glob(f"*{SUFFIX}"))}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise SignOffMissing(
            f"{path}: cannot be read: {error}", hint="begin anew with `voicectl gate sign --renew`"
        ) from error
    return Dossier(proposal, signoffs)


def write_proposal(folder: Path, proposal: Proposal) -> None:
    """Begin a decision; sign-offs of an earlier one are removed. Raises ConfigError."""
    discard(folder)
    _write(folder / FILE_NAME, msgspec.json.encode(proposal) + b"\n")


def write_signoff(folder: Path, role: str, envelope: bytes) -> Path:
    """Add a sign-off, in the place of an earlier one of the role. Raises ConfigError."""
    path = folder / f"{role}{SUFFIX}"
    _write(path, envelope)
    return path


def discard(folder: Path) -> None:
    """Remove a decision: it was made, or is begun anew. Raises ConfigError."""
    try:
        for path in (*folder.glob(f"*{SUFFIX}"), folder / FILE_NAME):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be cleared: {error.strerror}", hint=f"ls -l {folder}") from error


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    return content


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise ConfigError(f"{path}: cannot be written: {error.strerror}", hint=f"ls -ld {path.parent}") from error
