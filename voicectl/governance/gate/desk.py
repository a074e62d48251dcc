"""Where a gate is asked and answered: brings evidence, signatures, audit log and rollout state to one verdict.

The thin shell around `verdict.decide`: reads files and the database, writes the rollout state and the audit log.
"""

import base64
import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from voicectl.core.errors import UsageError
from voicectl.core.records import Tier
from voicectl.governance.alerts.evaluate import evaluate_alerts, to_demote
from voicectl.governance.gate import dossier as files
from voicectl.governance.gate.attestations import read_attestations, requirements
from voicectl.governance.gate.breaks import AUDIT_BREAK, note_break, told_from
from voicectl.governance.gate.closing import close
from voicectl.governance.gate.collect import collect
from voicectl.governance.gate.dossier import Dossier, Proposal, read_dossier
from voicectl.governance.gate.doubts import doubts
from voicectl.governance.gate.entries import entries
from voicectl.governance.gate.evidence import Evidence
from voicectl.governance.gate.force import drafts, refuse_drafts, refuse_earlier
from voicectl.governance.gate.ledger import NOTHING, Audited, Ledger
from voicectl.governance.gate.refusal import refused
from voicectl.governance.gate.verdict import Decision, SignOffState, Verdict, decide
from voicectl.governance.policy.errors import SignOffMissing
from voicectl.governance.policy.load import LoadedPolicy
from voicectl.governance.policy.persons import in_a_line
from voicectl.governance.rollout.believe import believed
from voicectl.governance.rollout.load import InForce, files_in_force
from voicectl.governance.rollout.state import (
    Change,
    Enforcement,
    RolloutState,
    appended,
    changing,
    read_state,
    refuse_oversized,
    write_state,
)
from voicectl.governance.signoff.check import check_signoffs
from voicectl.governance.signoff.envelope import SignOff, listed_signer, open_sealed, seal
from voicectl.governance.signoff.reviewers import Reviewers, read_reviewers
from voicectl.governance.signoff.statement import Bindings, Signed
from voicectl.governance.store.store import Store


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that a decision needs. `folder` holds the rollout state and decisions in progress.

    `events_kept_s` is how long the events of calls are kept; None is for ever.
    """

    policy: LoadedPolicy
    folder: Path
    ledger: Ledger
    open_store: Callable[[], Store]
    reviewers_file: Path | None = None
    evidence_file: Path | None = None
    events_kept_s: float | None = None
    now: Callable[[], float] = field(default=time.time)
    in_force: Callable[[], InForce] = field(default=files_in_force)

    @property
    def state_file(self) -> Path:
        """Where the rollout state is."""
        return self.folder / "rollout.json"

    def state(self) -> RolloutState:
        """Return the rollout state; one that nobody signed for has a problem."""
        return believed(read_state(self.state_file), self.policy.policy, self._reviewers())

    def enforcement(self) -> Enforcement:
        """Return what the service would enforce now."""
        return Enforcement(self.policy.policy, self.state(), self.policy.sha256)

    def check(self, tier: Tier, use_cases: Sequence[str] = ()) -> Verdict:
        """Return the verdict on opening a tier to use cases, by default all of it; audited. Drafts may be checked."""
        chosen = self._chosen(tier, use_cases)
        refuse_earlier(self.now(), self.state_file)
        audited = self._audited(tier)
        verdict = replace(
            self._verdict(tier, chosen, audited), drafts=drafts(self.policy, self._reviewers(), self.in_force())
        )
        if audited.problem is None:
            self.ledger.note_decision(verdict, self.policy)
        else:
            self._note_break(verdict, audited.problem)
        return verdict

    def sign(
        self, tier: Tier, use_cases: Sequence[str], *, reviewer: str, role: str, key: Path, renew: bool = False
    ) -> Path:
        """Sign for opening a tier, and return the sign-off's file. Raises the verdict's error while more is missing.

        Nothing is written before it is known who signs, and that everything else holds.
        """
        chosen = self._chosen(tier, use_cases)
        refuse_drafts(self.policy, self._reviewers(), self.in_force())
        refuse_earlier(self.now(), self.state_file)
        reviewers = self._needed_reviewers()
        signer = listed_signer(reviewers, reviewer, role, key)
        audited = self._audited(tier)
        verdict = self._verdict(tier, chosen, audited, unsigned=True)
        if audited.problem is not None:
            self._note_break(verdict, audited.problem)
        if not verdict.holds_but_for_signatures:
            raise refused(verdict, self.policy.policy)
        self.ledger.note_decision(verdict, self.policy)
        seen = self._dossier(tier, renew)
        found = None if renew or seen is None or seen.proposal.use_cases != chosen or self._is_outdated(seen) else seen
        proposal = self._proposal(tier, chosen, verdict) if found is None else found.proposal
        now, bindings = self.now(), self._bindings(proposal)
        signed = Signed(
            tier=tier,
            use_cases=chosen,
            as_of=proposal.as_of,
            reviewer=signer.name,
            role=role,
            date=now,
            expires_at=now + self.policy.policy.signoff.expires,
        )
        envelope = seal(signed, bindings, key)
        signoff = open_sealed(envelope, reviewers, str(key))
        before = {} if found is None else found.signoffs
        others = [open_sealed(one, reviewers, name) for name, one in before.items() if name != role]
        state = self._signoff_state(proposal, [signoff, *others], bindings)
        if problems := [one for one in state.missing if not one.endswith(": nobody has signed")]:
            raise SignOffMissing(
                "; ".join(problems), hint="the reviewers and their roles stand in the file of reviewers"
            )
        path = self._keep(proposal, role, envelope, seen=seen, renew=renew, begins=found is None)
        self.ledger.note_signoff(signoff)
        return path

    def _keep(
        self, proposal: Proposal, role: str, envelope: bytes, *, seen: Dossier | None, renew: bool, begins: bool
    ) -> Path:
        """Write a sign-off, unless somebody else signed since `seen`. Counting and signing may take minutes."""
        folder = self.folder / proposal.tier
        with changing(self.state_file):
            now = self._dossier(proposal.tier, renew)
            if now != seen and (begins or now is None or now.proposal != proposal):
                raise SignOffMissing(f"{folder}: somebody else began to sign meanwhile", hint="sign again")
            if begins:
                files.write_proposal(folder, proposal)
            return files.write_signoff(folder, role, envelope)

    def _dossier(self, tier: Tier, renew: bool) -> Dossier | None:
        try:
            return read_dossier(self.folder / tier)
        except SignOffMissing:
            if renew:
                return None
            raise

    def promote(self, tier: Tier, use_cases: Sequence[str] = (), *, by: str) -> Verdict:
        """Open a tier to use cases, if everything holds now. Raises what the verdict says otherwise."""
        chosen = self._chosen(tier, use_cases)
        refuse_drafts(self.policy, self._reviewers(), self.in_force())
        verdict = self.check(tier, chosen)
        if verdict.decision != "promote":
            raise refused(verdict, self.policy.policy)
        with changing(self.state_file):
            self._open(tier, chosen, by)
            files.discard(self.folder / tier)
        return verdict

    def _open(self, tier: Tier, use_cases: tuple[str, ...], by: str) -> None:
        """Write the promotion that was signed. Raises SignOffMissing when it was signed for another state."""
        state, found = self.state(), read_dossier(self.folder / tier)
        change = Change(
            action="promote",
            tier=tier,
            use_cases=use_cases,
            at=max(self.now(), state.newest_at),
            by=in_a_line(by),
            reason="the gate's verdict",
            signoffs=tuple(
                base64.b64encode(one).decode("ascii") for one in ({} if found is None else found.signoffs).values()
            ),
            policy_digest=self.policy.sha256,
        )
        after = believed(appended(state, change), self.policy.policy, self._reviewers())
        if state.problem is not None or after.problem is not None:
            raise SignOffMissing(
                f"{self.state_file}: {state.problem or after.problem}", hint="sign again with `voicectl gate sign`"
            )
        refuse_oversized(self.state_file, after)
        # Told before it is done: a log that cannot be written opens nothing.
        self.ledger.note_change(change, Enforcement(self.policy.policy, state))
        write_state(self.state_file, after)

    def demote(self, use_cases: Sequence[str], *, by: str, reason: str) -> RolloutState:
        """Take use cases out of traffic at once; needs no evidence. Raises UsageError for one that is not listed."""
        return self.demote_each(dict.fromkeys(use_cases, reason), by=by)

    def demote_each(self, reasons: Mapping[str, str], *, by: str) -> RolloutState:
        """Take use cases out of traffic, each for its reason, all at once. Raises as `close` does."""
        return close(self.policy, self.ledger, self.state_file, reasons, by=by, now=self.now())

    def demotions_due(self, tier: Tier) -> dict[str, str]:
        """Return the use cases of a tier that the policy's alerts take out of traffic, with the reasons."""
        evidence = self._evidence(tier, self.now())
        return to_demote(evaluate_alerts(self.policy.policy, evidence))

    # --- the verdict -----------------------------------------------------------------------------

    def _verdict(self, tier: Tier, use_cases: tuple[str, ...], audited: Audited, *, unsigned: bool = False) -> Verdict:
        policy, now = self.policy.policy, self.now()
        below = policy.below(tier)
        evidence = None if below is None else self._evidence(below, now)
        attested = read_attestations(self.evidence_file, policy)
        today = dt.datetime.fromtimestamp(now, dt.UTC).date()
        needed = requirements(policy, tier, use_cases, attested, today)
        enforcement = self.enforcement()
        needed_open = () if below is None else policy.tiers[below].use_cases
        verdict = decide(
            policy,
            tier,
            use_cases,
            evidence,
            requirements=needed,
            signoff=SignOffState(missing=("nobody has signed",)),
            audit_problem=audited.problem or enforcement.state.problem,
            closed_below=[name for name in needed_open if not enforcement.is_open(name)],
            doubts=doubts(audited, evidence, now),
        )
        if unsigned or not verdict.holds_but_for_signatures:
            return verdict
        signoff = self._signoffs(tier, use_cases)
        decision: Decision = "unsigned" if signoff.missing or not signoff.signed else "promote"
        return replace(verdict, signoff=signoff, decision=decision)

    def _audited(self, tier: Tier) -> Audited:
        """Return what the audit log tells; it must tell from the first change of the rollout state or call on."""
        times = [change.at for change in self.state().known_changes[:1]]
        if self.policy.policy.below(tier) is not None:
            with self.open_store() as store:
                first_call_at = told_from(store)
            times += [] if first_call_at is None else [first_call_at]
        return self.ledger.look(min(times, default=None))

    def _note_break(self, verdict: Verdict, problem: str) -> None:
        """Keep a break of the log as an event of the tier below, unless one stands already."""
        if verdict.evidence is not None and not verdict.evidence.violations.get(AUDIT_BREAK):
            with self.open_store() as store:
                note_break(store, problem, at=self.now())

    def _evidence(self, tier: Tier, as_of: float) -> Evidence:
        # Entries follow from the rollout state, which is part of what is signed.
        policy, entered = self.policy.policy, entries(self.policy.policy, tier, self.state())
        with self.open_store() as store, store.read() as connection:
            return collect(
                connection,
                policy,
                tier,
                as_of=as_of,
                now=self.now(),
                entered=entered,
                events_kept_s=self.events_kept_s,
            )

    def _signoffs(self, tier: Tier, use_cases: tuple[str, ...]) -> SignOffState:
        try:
            found = read_dossier(self.folder / tier)
            if found is None or found.proposal.use_cases != use_cases or found.proposal.tier != tier:
                return SignOffState(missing=tuple(f"{role}: nobody has signed" for role in self._roles()))
            reviewers = self._needed_reviewers()
            signoffs = [open_sealed(one, reviewers, name) for name, one in found.signoffs.items()]
        except SignOffMissing as error:
            return SignOffState(missing=(error.message,))
        return self._signoff_state(found.proposal, signoffs, self._bindings(found.proposal))

    def _signoff_state(self, proposal: Proposal, signoffs: Sequence[SignOff], bindings: Bindings) -> SignOffState:
        attested = read_attestations(self.evidence_file, self.policy.policy)
        return check_signoffs(
            self.policy.policy,
            signoffs,
            tier=proposal.tier,
            use_cases=proposal.use_cases,
            as_of=proposal.as_of,
            bindings=bindings,
            author=attested.author,
            now=self.now(),
        )

    def _bindings(self, proposal: Proposal) -> Bindings:
        """Return what everything is now that was, or is to be, signed; evidence is counted anew as of then."""
        policy = self.policy.policy
        below = policy.below(proposal.tier)
        evidence = None if below is None else self._evidence(below, proposal.as_of)
        return Bindings(
            policy=self.policy.sha256,
            evidence=NOTHING if evidence is None else evidence.digest,
            configuration=NOTHING if evidence is None else evidence.configuration_digest,
            audit_checkpoint=self.ledger.digest_of(proposal.audit_checkpoint),
            attestations=read_attestations(self.evidence_file, policy).digest,
            reviewers=self._needed_reviewers().sha256,
            state=self.state().digest,
        )

    def _proposal(self, tier: Tier, use_cases: tuple[str, ...], verdict: Verdict) -> Proposal:
        evidence = verdict.evidence
        return Proposal(
            tier=tier,
            use_cases=use_cases,
            as_of=self.now() if evidence is None else evidence.as_of,
            audit_checkpoint=self.ledger.new_checkpoint(),
        )

    def _is_outdated(self, found: Dossier) -> bool:
        return self.now() - found.proposal.as_of > self.policy.policy.signoff.expires

    # --- people, use cases -----------------------------------------------------------------------

    def _roles(self) -> tuple[str, ...]:
        return self.policy.policy.signoff.require

    def _reviewers(self) -> Reviewers | None:
        if self.reviewers_file is None or not self.reviewers_file.is_file():
            return None
        return read_reviewers(self.reviewers_file)

    def _needed_reviewers(self) -> Reviewers:
        found = self._reviewers()
        if found is None:
            raise SignOffMissing(
                f"{self.reviewers_file}: there is no file of reviewers",
                hint="docs/gating.md shows one; name it with --reviewers",
            )
        return found

    def _chosen(self, tier: Tier, use_cases: Sequence[str]) -> tuple[str, ...]:
        rules = self.policy.policy.tiers.get(tier)
        if rules is None:
            raise UsageError(
                f"{self.policy.path} has no tier {tier}", hint=f"tiers: {', '.join(self.policy.policy.tiers)}"
            )
        for name in use_cases:
            if name not in rules.use_cases:
                raise UsageError(f"{name} is not of tier {tier}", hint=f"its use cases: {', '.join(rules.use_cases)}")
        return tuple(name for name in rules.use_cases if not use_cases or name in use_cases)
