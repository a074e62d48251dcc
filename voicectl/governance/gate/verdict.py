"""Put everything together to one verdict, with its exit code. Pure; nothing opens that is not shown to hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from voicectl.core.records import Tier
from voicectl.governance.alerts.evaluate import AlertResult, evaluate_alerts
from voicectl.governance.gate.attestations import Requirement
from voicectl.governance.gate.criteria import CriterionResult, holds, judge_criterion
from voicectl.governance.gate.evidence import Evidence
from voicectl.governance.gate.soundness import unsound
from voicectl.governance.policy.errors import (
    AuditBroken,
    CriterionFailed,
    EvidenceUnfit,
    GateHeld,
    SignOffMissing,
    ZeroToleranceEvent,
)
from voicectl.governance.policy.schema import Policy

Draft = Literal["policy", "reviewers"]
"""A file that the gate was asked by, and that is not the one which the service of this host reads."""
Decision = Literal["promote", "hold", "failed", "unfit", "unsigned", "broken", "stopped"]
EXIT_CODES: Final[dict[Decision, int]] = {
    "promote": 0,
    "hold": GateHeld.exit_code,
    "failed": CriterionFailed.exit_code,
    "unfit": EvidenceUnfit.exit_code,
    "unsigned": SignOffMissing.exit_code,
    "broken": AuditBroken.exit_code,
    "stopped": ZeroToleranceEvent.exit_code,
}


@dataclass(frozen=True, slots=True)
class SignOffState:
    """How the sign-off stands: who signed, and what is wrong or missing."""

    signed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UseCaseVeto:
    """A use case whose own calls fall short of a bar that the tier as a whole may meet."""

    use_case: str
    metric: str
    rate: float
    bar: float
    num_events: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """May these use cases of `tier` get traffic? Everything that was looked at, and the decision."""

    tier: Tier
    use_cases: tuple[str, ...]
    evidence: Evidence | None
    unsound: tuple[str, ...]
    criteria: tuple[CriterionResult, ...]
    vetoes: tuple[UseCaseVeto, ...]
    alerts: tuple[AlertResult, ...]
    requirements: tuple[Requirement, ...]
    zero_tolerance: tuple[tuple[str, int], ...]
    audit_problem: str | None
    closed_below: tuple[str, ...]
    signoff: SignOffState
    decision: Decision
    drafts: tuple[Draft, ...] = ()

    @property
    def exit_code(self) -> int:
        """The process status of this verdict."""
        return EXIT_CODES[self.decision]

    @property
    def holds_but_for_signatures(self) -> bool:
        """Whether people may sign: everything else holds."""
        return self.decision in ("promote", "unsigned")


def decide(
    policy: Policy,
    tier: Tier,
    use_cases: Sequence[str],
    evidence: Evidence | None,
    *,
    requirements: Sequence[Requirement],
    signoff: SignOffState,
    audit_problem: str | None,
    closed_below: Sequence[str],
    doubts: Sequence[str] = (),
) -> Verdict:
    """Return the verdict on opening a tier to use cases. `evidence` is that of the tier below, None for the lowest.

    `closed_below` are use cases of the tier below that get no traffic. `doubts` are reasons from elsewhere for which
    evidence cannot be believed.
    """
    criteria: tuple[CriterionResult, ...] = ()
    vetoes: tuple[UseCaseVeto, ...] = ()
    alerts: tuple[AlertResult, ...] = ()
    reasons: tuple[str, ...] = ()
    events: tuple[tuple[str, int], ...] = ()
    below = policy.below(tier)
    if below is not None:
        if evidence is None or evidence.tier != below:
            reasons = (f"no evidence of tier {below}",)
        else:
            criteria = _criteria(policy, below, evidence)
            vetoes = _vetoes(policy, below, evidence)
            alerts = evaluate_alerts(policy, evidence)
            reasons = unsound(evidence, policy)
            listed = ((name, evidence.violations.get(name, 0)) for name in policy.zero_tolerance)
            events = tuple((name, number) for name, number in listed if number)
    reasons = (*reasons, *doubts)
    decision = _decision(
        criteria=criteria,
        vetoes=vetoes,
        alerts=alerts,
        reasons=reasons,
        events=events,
        requirements=requirements,
        signoff=signoff,
        audit_problem=audit_problem,
        closed_below=closed_below,
    )
    return Verdict(
        tier=tier,
        use_cases=tuple(use_cases),
        evidence=evidence,
        unsound=reasons,
        criteria=criteria,
        vetoes=vetoes,
        alerts=alerts,
        requirements=tuple(requirements),
        zero_tolerance=events,
        audit_problem=audit_problem,
        closed_below=tuple(closed_below),
        signoff=signoff,
        decision=decision,
    )


def _decision(
    *,
    criteria: Sequence[CriterionResult],
    vetoes: Sequence[UseCaseVeto],
    alerts: Sequence[AlertResult],
    reasons: Sequence[str],
    events: Sequence[tuple[str, int]],
    requirements: Sequence[Requirement],
    signoff: SignOffState,
    audit_problem: str | None,
    closed_below: Sequence[str],
) -> Decision:
    """Return the gravest thing that stands: numbers mean nothing while the evidence cannot be believed."""
    states = {result.state for result in criteria}
    firing = [alert for alert in alerts if alert.state == "firing"]
    ladder: tuple[tuple[Decision, bool], ...] = (
        ("stopped", bool(events)),
        ("broken", audit_problem is not None),
        (
            "unfit",
            bool(reasons)
            or "unfit" in states
            or any(alert.state == "no data" for alert in alerts)
            or not all(requirement.held for requirement in requirements),
        ),
        ("failed", "failed" in states or any(alert.is_grave for alert in firing)),
        (
            "hold",
            "hold" in states
            or bool(vetoes)
            or any(alert.state in ("firing", "too few") for alert in alerts)
            or bool(closed_below),
        ),
        ("unsigned", bool(signoff.missing) or not signoff.signed),
    )
    return next((decision for decision, stands in ladder if stands), "promote")


def _criteria(policy: Policy, tier: Tier, evidence: Evidence) -> tuple[CriterionResult, ...]:
    alpha = policy.defaults.alpha
    return tuple(
        judge_criterion(metric, criterion, evidence, alpha, early_until=_early_until(policy, metric, evidence))
        for metric, criterion in policy.tiers[tier].criteria.items()
    )


def _early_until(policy: Policy, metric: str, evidence: Evidence) -> float | None:
    """Return until when falling short is normal: the policy gives some metrics time before it calls them a failure."""
    times = [alert.after for alert in policy.alerts if alert.metric == metric and alert.after is not None]
    began = min((one.since for one in evidence.use_cases if one.num_calls), default=evidence.as_of)
    return began + max(times) if times else None


def _vetoes(policy: Policy, tier: Tier, evidence: Evidence) -> tuple[UseCaseVeto, ...]:
    """Return the use cases that fall short by themselves, with enough events of their own to say so."""
    found = []
    for metric, criterion in policy.tiers[tier].criteria.items():
        for one in evidence.use_cases:
            alone = Evidence(evidence.tier, evidence.as_of, evidence.window_s, (one,), judge=evidence.judge)
            tally = alone.window_of(metric)
            result = judge_criterion(metric, criterion, alone, policy.defaults.alpha, early_until=None)
            if tally.total < criterion.min_n or result.estimate is None:
                continue
            if not holds(result.estimate, criterion.operator, criterion.bar):
                found.append(UseCaseVeto(one.use_case, metric, result.estimate, criterion.bar, tally.total))
    return tuple(found)
