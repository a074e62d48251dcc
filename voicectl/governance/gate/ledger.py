"""What the gate asks of the audit log, and tells it. Knows no database."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec import UNSET

from voicectl.governance.audit.checkpoint import CHECKPOINT_FILE, Checkpoint, read_checkpoint
from voicectl.governance.audit.keys import public_key, public_path
from voicectl.governance.audit.log import AuditChainBroken, AuditLog
from voicectl.governance.audit.trail import sign_checkpoint
from voicectl.governance.audit.verify import entries, verify
from voicectl.governance.gate.verdict import Verdict
from voicectl.governance.policy.load import LoadedPolicy
from voicectl.governance.rollout.state import Change, Enforcement
from voicectl.governance.signoff.envelope import SignOff

NOTHING: Final = "0" * 64
"""The digest of what is not there."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The audit log, and the private key that its checkpoints are signed with."""

    audit: AuditLog
    key: Path

    def problem(self) -> str | None:
        """Return what is wrong with the log; a host without one has nothing to be proven yet."""
        try:
            checkpoint = self._checkpoint()
            if checkpoint is None and self.audit.head() is None:
                return None
            found = verify(self.audit.folder, checkpoint)
        except AuditChainBroken as error:
            return error.message
        broken = found.first_break
        return None if broken is None else f"{broken.file}:{broken.line}: {broken.what}"

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
