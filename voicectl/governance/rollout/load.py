"""Load what the service enforces from the gate's files. Watching them for changes is the service's."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voicectl.core.disk import open_regular
from voicectl.core.paths import config_path, store_path
from voicectl.governance.policy.document import MAX_BYTES
from voicectl.governance.policy.errors import SignOffMissing
from voicectl.governance.policy.load import PACKAGED, load_policy
from voicectl.governance.rollout.believe import believed
from voicectl.governance.rollout.state import FILE_NAME, Enforcement, RolloutState, read_state
from voicectl.governance.signoff.reviewers import read_reviewers

POLICY: Final = "gate-policy.yaml"
REVIEWERS: Final = "gate-reviewers.yaml"
EVIDENCE: Final = "gate-evidence.yaml"


def gate_folder() -> Path:
    """Return where this host keeps its rollout state and decisions in progress."""
    return store_path() / "gate"


def policy_file() -> Path | None:
    """Return this host's own policy; None where the packaged one holds."""
    own = config_path() / POLICY
    return own if _is_there(own) else None


def enforced_files() -> tuple[Path, ...]:
    """Return the files that decide what is enforced: when one of them changes, load again."""
    return (config_path() / POLICY, config_path() / REVIEWERS, gate_folder() / FILE_NAME)


@dataclass(frozen=True, slots=True)
class InForce:
    """What the service of this host reads, by path and sha256; None for a file that cannot be read."""

    policy: tuple[Path, str | None]
    reviewers: tuple[Path, str | None]


def files_in_force(policy: Path | None = None, reviewers: Path | None = None) -> InForce:
    """Return the files that decide what is enforced here, by default this host's."""
    policy, reviewers = policy or policy_file() or PACKAGED, reviewers or config_path() / REVIEWERS
    return InForce((policy, _sha256(policy)), (reviewers, _sha256(reviewers)))


def load_enforcement() -> Enforcement:
    """Return what this host enforces. Raises PolicyInvalid; whatever else is wrong opens nothing instead."""
    loaded = load_policy(policy_file())
    path = config_path() / REVIEWERS
    try:
        reviewers = read_reviewers(path) if _is_there(path) else None
    except SignOffMissing as error:
        return Enforcement(loaded.policy, RolloutState(problem=error.message), loaded.sha256)
    state = believed(read_state(gate_folder() / FILE_NAME), loaded.policy, reviewers)
    return Enforcement(loaded.policy, state, loaded.sha256)


def _sha256(path: Path) -> str | None:
    try:
        with open_regular(path) as file:
            return hashlib.sha256(file.read(MAX_BYTES + 1)).hexdigest()
    except OSError:
        return None


def _is_there(path: Path) -> bool:
    """Return whether there is such a file; one that may not be looked at is there, and no default takes its place."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True
