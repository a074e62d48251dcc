"""Find what a policy says that cannot all be meant, key by key. Pure."""

from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Final, get_args

from voicectl.governance.policy.document import Place, Problem, close_to
from voicectl.governance.policy.schema import TIERS, Alert, Binding, Criterion, Policy

UPWARD: Final = ("gte", "gt")
DOWNWARD: Final = ("lte", "lt")
MIN_ROLES: Final = 2
DIRECTIONS: Final = {
    "containment_rate": UPWARD,
    "warm_transfer_success": UPWARD,
    "compliance_flag_rate": DOWNWARD,
    "escalation_to_complaint": DOWNWARD,
}
ALERT_BARS: Final = {
    "v2v": ("p90_gt", "p99_gt"),
    "containment_drop": ("gt",),
    "containment_rate": ("lt",),
    "compliance_flag_rate": ("gt",),
    "warm_transfer_failure": ("gt",),
    "wer": ("gt",),
}

DAILY: Final = ("containment_drop", "compliance_flag_rate")
"""Alerts on the last day; all others are on the window."""
_DAY_S: Final = 86_400.0


def contradictions(policy: Policy) -> Iterator[Problem]:
    """Yield everything that is wrong with a policy whose keys and types are right."""
    return chain(
        _tiers(policy), _use_cases(policy), _criteria(policy), _alerts(policy), _lists(policy), _signoff(policy)
    )


def _tiers(policy: Policy) -> Iterator[Problem]:
    names = list(policy.tiers)
    if names != list(TIERS[: len(names)]) or len(names) < 2:
        yield Problem(("tiers",), f"must be {', '.join(TIERS)}, in this order, from low on, two at least")
        return
    for tier, rules in policy.tiers.items():
        if tier != names[-1] and not rules.criteria:
            yield Problem(
                ("tiers", tier),
                f"tier {tier} has no criteria: everything would advance from it",
                f"give it criteria to advance to {names[names.index(tier) + 1]}",
            )
        if tier == names[-1] and rules.criteria:
            yield Problem(("tiers", tier, "criteria"), f"nothing comes after tier {tier} that criteria could open")
        if tier == names[-1] and not rules.entry_requires:
            yield Problem(("tiers", tier), f"tier {tier} requires nothing to enter it", "give it entry_requires")


def _use_cases(policy: Policy) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for tier, rules in policy.tiers.items():
        for number, use_case in enumerate(rules.use_cases):
            if use_case in seen:
                yield Problem(
                    ("tiers", tier, "use_cases", number), f"use case {use_case} is already in tier {seen[use_case]}"
                )
            seen.setdefault(use_case, tier)


def _criteria(policy: Policy) -> Iterator[Problem]:
    for tier, rules in policy.tiers.items():
        for metric, criterion in rules.criteria.items():
            yield from _criterion(("tiers", tier, "criteria", metric), metric, criterion)


def _criterion(place: Place, metric: str, criterion: Criterion) -> Iterator[Problem]:
    bars = criterion.bars()
    if len(bars) != 1:
        said = " and ".join(f"{name}: {bar:g}" for name, bar in bars.items()) or "none"
        yield Problem(place, f"contradictory bars: one is needed, there is {said}")
        return
    (operator,) = bars
    if operator not in DIRECTIONS[metric]:
        wanted = " or ".join(DIRECTIONS[metric])
        yield Problem((*place, operator), f"contradictory bar: {metric} is to be held by {wanted}, not {operator}")
    if criterion.maturity is not None and metric != "escalation_to_complaint":
        yield Problem((*place, "maturity"), f"{metric} does not mature")
    if criterion.maturity is None and metric == "escalation_to_complaint":
        yield Problem(place, "maturity is required: complaints come late")
    if criterion.denominator is not None and metric != "warm_transfer_success":
        yield Problem((*place, "denominator"), f"{metric} has no choice of denominator")


def _alerts(policy: Policy) -> Iterator[Problem]:
    for number, alert in enumerate(policy.alerts):
        yield from _alert(("alerts", number), alert, policy)


def _alert(place: Place, alert: Alert, policy: Policy) -> Iterator[Problem]:
    bars, allowed = alert.bars(), ALERT_BARS[alert.metric]
    if len(bars) != 1 or next(iter(bars)) not in allowed:
        yield Problem(place, f"contradictory bars: an alert on {alert.metric} has one of {', '.join(allowed)}")
        return
    bar = next(iter(bars.values()))
    if alert.metric != "v2v" and bar >= 1:
        yield Problem((*place, next(iter(bars))), f"{bar:g} is no share: it lies between 0 and 1")
    if alert.target_lt is not None and alert.target_lt > bar:
        yield Problem((*place, "target_lt"), f"contradictory bars: the target {alert.target_lt:g} is beyond {bar:g}")
    span_s = _DAY_S if alert.metric in DAILY else policy.defaults.window
    if alert.over not in (None, span_s):
        span = "24h" if alert.metric in DAILY else "defaults.window"
        yield Problem((*place, "over"), f"an alert on {alert.metric} is over {span}, and nothing else", "leave it out")
    if alert.metric == "containment_drop" and alert.unit is None:
        yield Problem(place, "unit is required: a drop is relative")
    if alert.metric == "containment_rate":
        for tier, rules in policy.tiers.items():
            criterion = rules.criteria.get("containment_rate")
            if criterion is not None and len(criterion.bars()) == 1 and bar > criterion.bar:
                yield Problem((*place, "lt"), f"contradictory bars: tier {tier} advances from {criterion.bar:g} on")


def _lists(policy: Policy) -> Iterator[Problem]:
    named: list[tuple[Place, tuple[str, ...]]] = [
        (("zero_tolerance",), policy.zero_tolerance),
        (("checklist",), policy.checklist),
        (("roles",), policy.roles),
        (("signoff", "require"), policy.signoff.require),
        *((("tiers", tier, "entry_requires"), rules.entry_requires) for tier, rules in policy.tiers.items()),
    ]
    for place, names in named:
        for number, name in enumerate(names):
            if name in names[:number]:
                yield Problem((*place, number), f"{name} is listed twice")


def _signoff(policy: Policy) -> Iterator[Problem]:
    rules = policy.signoff
    for number, role in enumerate(rules.require):
        if role not in policy.roles:
            yield Problem(("signoff", "require", number), f"{role} is none of the roles", close_to(role, policy.roles))
    if len(set(rules.require)) < MIN_ROLES:
        yield Problem(("signoff", "require"), "two different people have to sign: name two roles at least")
    if not rules.distinct_people:
        yield Problem(("signoff", "distinct_people"), "must be true: two people have to sign")
    if not rules.author_may_not_sign:
        yield Problem(("signoff", "author_may_not_sign"), "must be true: nobody signs for their own change")
    if missing := set(get_args(Binding)) - set(rules.binds):
        yield Problem(("signoff", "binds"), f"must bind {', '.join(sorted(missing))} too")
    if missing := {"reviewer", "role", "date"} - set(rules.fields):
        yield Problem(("signoff", "fields"), f"must hold {', '.join(sorted(missing))} too")
    percentiles = [alert for alert in policy.alerts if alert.metric == "v2v" and alert.bars()]
    for first, second in pairwise(sorted(percentiles, key=lambda alert: alert.p90_gt is None)):
        if first.p90_gt and second.p99_gt and first.p90_gt > second.p99_gt:
            place = ("alerts", policy.alerts.index(second), "p99_gt")
            yield Problem(place, "contradictory bars: P99 is never below P90, yet its threshold is")
