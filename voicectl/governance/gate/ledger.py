"""What the gate asks of the audit log, and tells it. Knows no database."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec import UNSET

from voicectl.governance.audit.checkpoint import CHECKPOINT_FILE, Checkpoint, read_checkpoint
from voicectl.governance.audit.keys import public_key, public_path
from voicectl.governance.audit.log import AuditChainBroken, AuditLog
from voicectl.governance.audit.trail import sign_checkpoint
from voicectl.governance.audit.verify import CLOCK_STEP_S, Verification, entries, verify
from voicectl.governance.gate.verdict import Verdict
from voicectl.governance.policy.load import LoadedPolicy
from voicectl.governance.rollout.state import Change, Enforcement
from voicectl.governance.signoff.envelope import SignOff

NOTHING: Final = "0" * 64
"""The digest of what is not there."""

_BEGIN: Final = "move what is there aside, and begin a log on purpose with `voicectl audit init --reason`"


@dataclass(frozen=True, slots=True)
class Audited:
    """What the audit log tells. `problem` is why it proves nothing, None for one that is whole.

    `newest_at` is the latest time of an entry; `config` and `model` are the digests of what the service told last
    that it runs, None where it never did.
    """

    problem: str | None = None
    newest_at: float | None = None
    config: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """The audit log, and the private key that its checkpoints are signed with."""

    audit: AuditLog
    key: Path

    def look(self, first_at: float | None) -> Audited:
        """Return what the log tells, and what is wrong with it.

        `first_at` is when the first thing happened that it must tell of; None while there is nothing to be proven.
        """
        try:
            checkpoint = self._checkpoint()
            if checkpoint is None and self.audit.head() is None:
                return Audited(None if first_at is None else _missing(self.audit.folder, first_at))
            found = verify(self.audit.folder, checkpoint)
        except AuditChainBroken as error:
            return Audited(error.message)
        broken = found.first_break
        if broken is not None:
            return Audited(f"{broken.file}:{broken.line}: {broken.what}")
        return Audited(
            _begun_late(self.audit.folder, found, first_at),
            newest_at=found.newest_at,
            config=_digest(found, "configuration_changed"),
            model=_digest(found, "model_changed"),
        )

    def new_checkpoint(self) -> str:
        """Sign where the log has come to, and return the digest of its last entry."""
        sign_checkpoint(self.audit, self.key)
        checkpoint = self._checkpoint()
        assert checkpoint is not None
        return checkpoint.digest

    def digest_of(self, digest: str) -> str:
        """Return the digest if the log has an entry of that name, that of nothing otherwise."""
        return digest if any(entry.digest == digest for entry in entries(self.audit.folder)) else NOTHING

    def note_decision(self, verdict: Verdict, policy: LoadedPolicy) -> None:
        """Tell what the gate said of each use case."""
        evidence = verdict.evidence
        for use_case in verdict.use_cases:
            self.audit.append(
                "gate_decided",
                {
                    "use_case": use_case,
                    "tier": verdict.tier,
                    "verdict": verdict.decision,
                    "policy_digest": policy.sha256,
                    "evidence_digest": NOTHING if evidence is None else evidence.digest,
                    "configuration_digest": None if evidence is None else evidence.configuration_digest,
                    "exit_code": verdict.exit_code,
                },
            )

    def note_signoff(self, signoff: SignOff) -> None:
        """Tell who signed for each use case."""
        signed = signoff.signed
        for use_case in signed.use_cases:
            self.audit.append(
                "signoff_recorded",
                {
                    "use_case": use_case,
                    "tier": signed.tier,
                    "reviewer": signed.reviewer,
                    "role": signed.role,
                    "digest": signoff.digest,
                    "expires_at": signed.expires_at,
                },
            )

    def note_change(self, change: Change, before: Enforcement) -> None:
        """Tell where each use case went."""
        for use_case in change.use_cases:
            self.audit.append(
                "tier_changed",
                {
                    "use_case": use_case,
                    "previous": before.tier_of(use_case) or "none",
                    "tier": change.tier if change.action == "promote" else "none",
                    "by": change.by,
                    "reason": change.reason,
                    "details": {} if change.policy_digest is UNSET else {"policy_digest": change.policy_digest},
                },
            )

    def _checkpoint(self) -> Checkpoint | None:
        path = self.audit.folder / CHECKPOINT_FILE
        return read_checkpoint(path, public_key(public_path(self.key))) if path.is_file() else None


def _missing(folder: Path, first_at: float) -> str:
    return (
        f"{folder}: there is no audit log, though there is something to prove from {_time(first_at)} on: restore it; "
        f"or {_BEGIN}"
    )


def _begun_late(folder: Path, found: Verification, first_at: float | None) -> str | None:
    """Return why a whole log is not the one to believe: it began by itself, after what it should tell of."""
    begun = found.first
    if begun is None or first_at is None or begun.at <= first_at + CLOCK_STEP_S:
        return None
    if "reason" in begun.body.get("details", {}):
        return None
    return (
        f"{folder}: the log begins at {_time(begun.at)}, after {_time(first_at)}, from which on it should tell: "
        f"another one was removed, or none was written. Restore that; or {_BEGIN}"
    )


def _digest(found: Verification, kind: str) -> str | None:
    entry = found.last.get(kind)
    return None if entry is None else str(entry.body["digest"])


def _time(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
