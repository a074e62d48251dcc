"""The lines that a report is read against, and who owns what: the numbers of the gate's policy that it shows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from voicectl.governance.policy.schema import Metric, Policy, TierRules

Role = Literal["voice_ai_owner", "platform_engineer", "compliance_officer", "quality_reviewer", "contact_centre_lead"]

ROLE_NAMES: Final[dict[str, str]] = {
    "voice_ai_owner": "Voice AI owner",
    "platform_engineer": "Platform engineer",
    "compliance_officer": "Compliance officer",
    "quality_reviewer": "Quality reviewer",
    "contact_centre_lead": "Contact centre lead",
}


@dataclass(frozen=True, slots=True)
class TierLines:
    """What a tier has to hold to advance; None where the policy has no such criterion."""

    containment: float | None = None
    compliance_flags: float | None = None
    warm_transfer: float | None = None
    escalation_to_complaint: float | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of a policy; None where it draws none. Those of alerts hold for every tier.

    `maturities` are how long after its end an escalation may still bring a complaint, by tier. `zero_tolerance`
    are the events that no statistic outweighs.
    """

    tiers: Mapping[str, TierLines] = field(default_factory=dict)
    maturities: Mapping[str, float] = field(default_factory=dict)
    zero_tolerance: frozenset[str] = frozenset()
    wer_target: float | None = None
    wer_alert: float | None = None
    v2v_p90_s: float | None = None
    v2v_p99_s: float | None = None

    def of_tiers(self, tiers: set[str]) -> TierLines:
        """Return the lines that all of several tiers share, for figures in which they are together."""
        found = [self.tiers.get(tier, TierLines()) for tier in tiers]
        return TierLines(
            containment=_shared(one.containment for one in found),
            compliance_flags=_shared(one.compliance_flags for one in found),
            warm_transfer=_shared(one.warm_transfer for one in found),
            escalation_to_complaint=_shared(one.escalation_to_complaint for one in found),
        )


def lines_of(policy: Policy) -> Lines:
    """Return the lines of a policy. Of several alerts on one figure the strictest counts."""
    tiers: dict[str, TierLines] = {
        name: TierLines(
            containment=_bar(rules, "containment_rate"),
            compliance_flags=_bar(rules, "compliance_flag_rate"),
            warm_transfer=_bar(rules, "warm_transfer_success"),
            escalation_to_complaint=_bar(rules, "escalation_to_complaint"),
        )
        for name, rules in policy.tiers.items()
    }
    words = [alert for alert in policy.alerts if alert.metric == "wer"]
    waits = [alert for alert in policy.alerts if alert.metric == "v2v"]
    return Lines(
        tiers,
        maturities={name: _maturity(rules) or policy.defaults.window for name, rules in policy.tiers.items()},
        zero_tolerance=frozenset(policy.zero_tolerance),
        wer_target=_strictest(alert.target_lt for alert in words),
        wer_alert=_strictest(alert.gt for alert in words),
        v2v_p90_s=_strictest(alert.p90_gt for alert in waits),
        v2v_p99_s=_strictest(alert.p99_gt for alert in waits),
    )


def _bar(rules: TierRules, name: Metric) -> float | None:
    criterion = rules.criteria.get(name)
    return None if criterion is None else criterion.bar


def _maturity(rules: TierRules) -> float | None:
    criterion = rules.criteria.get("escalation_to_complaint")
    return None if criterion is None else criterion.maturity


def _strictest(bars: Iterable[float | None]) -> float | None:
    return min((bar for bar in bars if bar is not None), default=None)


def _shared(values: Iterable[float | None]) -> float | None:
    found = set(values)
    return found.pop() if len(found) == 1 else None
