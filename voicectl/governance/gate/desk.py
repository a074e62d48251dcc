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
from voicectl.governance.gate.collect import collect
from voicectl.governance.gate.dossier import Dossier, Proposal, read_dossier
from voicectl.governance.gate.entries import entries
from voicectl.governance.gate.evidence import Evidence
from voicectl.governance.gate.ledger import NOTHING, Ledger
from voicectl.governance.gate.refusal import refused
from voicectl.governance.gate.verdict import Decision, SignOffState, Verdict, decide
from voicectl.governance.policy.errors import SignOffMissing
from voicectl.governance.policy.load import LoadedPolicy
from voicectl.governance.rollout.believe import believed
from voicectl.governance.rollout.state import Change, Enforcement, RolloutState, changing, read_state, write_state
from voicectl.governance.signoff.check import check_signoffs
from voicectl.governance.signoff.envelope import SignOff, open_sealed, seal
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
        """Return the verdict on opening a tier to use cases, by default all of it; audited."""
        chosen = self._chosen(tier, use_cases)
        audit_problem = self.ledger.problem()
        verdict = self._verdict(tier, chosen, audit_problem)
        if audit_problem is None:
            self.ledger.note_decision(verdict, self.policy)
        return verdict

    def sign(
        self, tier: Tier, use_cases: Sequence[str], *, reviewer: str, role: str, key: Path, renew: bool = False
    ) -> Path:
        """Sign for opening a tier, and return the sign-off's file. Raises the verdict's error while more is missing."""
        chosen = self._chosen(tier, use_cases)
        verdict = self._verdict(tier, chosen, self.ledger.problem(), unsigned=True)
        if not verdict.holds_but_for_signatures:
            raise refused(verdict, self.policy.policy)
        self.ledger.note_decision(verdict, self.policy)
        folder, found = self.folder / tier, None if renew else read_dossier(self.folder / tier)
        if found is None or found.proposal.use_cases != chosen or self._is_outdated(found):
            found = Dossier(self._proposal(tier, chosen, verdict), {})
            files.write_proposal(folder, found.proposal)
        reviewers = self._needed_reviewers()
        now, bindings = self.now(), self._bindings(found.proposal)
        signed = Signed(
            tier=tier,
            use_cases=chosen,
            as_of=found.proposal.as_of,
            reviewer=reviewer,
            role=role,
            date=now,
            expires_at=now + self.policy.policy.signoff.expires,
        )
        envelope = seal(signed, bindings, key)
        signoff = open_sealed(envelope, reviewers, str(key))
        others = [open_sealed(one, reviewers, name) for name, one in found.signoffs.items() if name != role]
        state = self._signoff_state(found.proposal, [signoff, *others], bindings)
        if problems := [one for one in state.missing if not one.endswith(": nobody has signed")]:
            raise SignOffMissing(
                "; ".join(problems), hint="the reviewers and their roles stand in the file of reviewers"
            )
        path = files.write_signoff(folder, role, envelope)
        self.ledger.note_signoff(signoff)
        return path

    def promote(self, tier: Tier, use_cases: Sequence[str] = (), *, by: str) -> Verdict:
        """Open a tier to use cases, if everything holds now. Raises what the verdict says otherwise."""
        chosen = self._chosen(tier, use_cases)
        verdict = self.check(tier, chosen)
        if verdict.decision != "promote":
            raise refused(verdict, self.policy.policy)
        found = read_dossier(self.folder / tier)
        assert found is not None
        with changing(self.state_file):
            self._open(tier, chosen, found, by)
        files.discard(self.folder / tier)
        return verdict

    def _open(self, tier: Tier, use_cases: tuple[str, ...], found: Dossier, by: str) -> None:
        """Write the promotion that was signed. Raises SignOffMissing when it was signed for another state."""
        state = self.state()
        change = Change(
            action="promote",
            tier=tier,
            use_cases=use_cases,
            at=self.now(),
            by=by,
            reason="the gate's verdict",
            previous=state.digest,
            signoffs=tuple(base64.b64encode(one).decode("ascii") for one in found.signoffs.values()),
        )
        after = believed(RolloutState((*state.changes, change), state.digest), self.policy.policy, self._reviewers())
        if after.problem is not None:
            raise SignOffMissing(f"{self.state_file}: {after.problem}", hint="sign again with `voicectl gate sign`")
        # Told before it is done: a log that cannot be written opens nothing.
        self.ledger.note_change(change, Enforcement(self.policy.policy, state))
        write_state(self.state_file, (*state.changes, change))

    def demote(self, use_cases: Sequence[str], *, by: str, reason: str) -> RolloutState:
        """Take use cases out of traffic at once; needs no evidence. Raises UsageError for one that is not listed."""
        policy = self.policy.policy
        tiers: dict[Tier, list[str]] = {}
        for use_case in use_cases:
            tier = policy.tier_of(use_case)
            if tier is None:
                raise UsageError(
                    f"{use_case}: {self.policy.path} lists no such use case", hint="see `voicectl gate status`"
                )
            tiers.setdefault(tier, []).append(use_case)
        with changing(self.state_file):
            return self._close(tiers, by, reason)

    def _close(self, tiers: Mapping[Tier, Sequence[str]], by: str, reason: str) -> RolloutState:
        state = read_state(self.state_file)
        if state.problem is not None:
            # Nothing is open as it is; a new file would open the lowest tier again.
            raise SignOffMissing(
                f"{state.problem}; nothing is open", hint="keep the file as evidence, restore it, then demote again"
            )
        for tier, names in tiers.items():
            change = Change(
                action="demote",
                tier=tier,
                use_cases=tuple(names),
                at=self.now(),
                by=by,
                reason=reason,
                previous=state.digest,
            )
            # Done before it is told: an audit log in trouble keeps no caller with a bad agent.
            before, state = state, write_state(self.state_file, (*state.changes, change))
            self.ledger.note_change(change, Enforcement(self.policy.policy, before))
        return state

    def demotions_due(self, tier: Tier) -> dict[str, str]:
        """Return the use cases of a tier that the policy's alerts take out of traffic, with the reasons."""
        evidence = self._evidence(tier, self.now())
        return to_demote(evaluate_alerts(self.policy.policy, evidence))

    # --- the verdict -----------------------------------------------------------------------------

    def _verdict(
        self, tier: Tier, use_cases: tuple[str, ...], audit_problem: str | None, *, unsigned: bool = False
    ) -> Verdict:
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
            audit_problem=audit_problem or enforcement.state.problem,
            closed_below=[name for name in needed_open if not enforcement.is_open(name)],
        )
        if unsigned or not verdict.holds_but_for_signatures:
            return verdict
        signoff = self._signoffs(tier, use_cases)
        decision: Decision = "unsigned" if signoff.missing or not signoff.signed else "promote"
        return replace(verdict, signoff=signoff, decision=decision)

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
