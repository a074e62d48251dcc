"""Load what the service enforces from the gate's files. Watching them for changes is the service's."""

from pathlib import Path
from typing import Final

from voicectl.core.paths import config_path, store_path
from voicectl.governance.policy.errors import SignOffMissing
from voicectl.governance.policy.load import load_policy
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
    return own if own.is_file() else None


def enforced_files() -> tuple[Path, ...]:
    """Return the files that decide what is enforced: when one of them changes, load again."""
    return (config_path() / POLICY, config_path() / REVIEWERS, gate_folder() / FILE_NAME)


def load_enforcement() -> Enforcement:
    """Return what this host enforces. Raises PolicyInvalid; whatever else is wrong opens nothing instead."""
    policy = load_policy(policy_file()).policy
    path = config_path() / REVIEWERS
    try:
        reviewers = read_reviewers(path) if path.is_file() else None
    except SignOffMissing as error:
        return Enforcement(policy, RolloutState(problem=error.message))
    return Enforcement(policy, believed(read_state(gate_folder() / FILE_NAME), policy, reviewers))
