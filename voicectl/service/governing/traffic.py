"""The door that calls come through: asks the rollout, counts whom it turned away, and tells the audit log once."""

from collections import Counter
from collections.abc import Callable
from typing import Final

import structlog

from voicectl.core.ports import AuditTrail
from voicectl.core.rollout import Admitted, Refused
from voicectl.governance.rollout.state import Enforcement
from voicectl.service.governing.rollout import LiveRollout
from voicectl.service.operations.metrics import Metrics

log = structlog.get_logger(__name__)

OTHER: Final = "other"
"""Stands for use cases that the policy does not list: clients may name anything."""

Overdue = Callable[[str], Refused | None]
"""Returns why a use case that is open gets no traffic all the same."""


class Traffic:
    """A Rollout that remembers its refusals. Use it on the event loop only."""

    def __init__(
        self, rollout: LiveRollout, *, overdue: Overdue = lambda _use_case: None, audit: AuditTrail | None = None
    ) -> None:
        self._rollout = rollout
        self._overdue = overdue
        self._audit = audit
        self._refused: Counter[tuple[str, str]] = Counter()
        self._told: set[tuple[str, str]] = set()
        self._told_of: Enforcement = rollout.enforcement

    def admit(self, use_case: str) -> Admitted | Refused:
        """Return whether a call of this use case may be taken, and count it when not."""
        found = self._asked(use_case)
        if isinstance(found, Refused):
            self._note(use_case, found)
        return found

    def refused(self) -> dict[tuple[str, ...], float]:
        """Return how many calls were refused, by use case and code."""
        return {key: float(number) for key, number in self._refused.items()}

    def opened(self) -> dict[tuple[str, ...], float]:
        """Return 1 for each use case of the policy that gets traffic, 0 for the others, by use case and tier."""
        policy = self._rollout.enforcement.policy
        return {
            (name, tier): float(isinstance(self._asked(name), Admitted))
            for tier, rules in policy.tiers.items()
            for name in rules.use_cases
        }

    def _asked(self, use_case: str) -> Admitted | Refused:
        found = self._rollout.admit(use_case)
        return self._overdue(use_case) or found if isinstance(found, Admitted) else found

    def _note(self, use_case: str, refused: Refused) -> None:
        enforced = self._rollout.enforcement
        if enforced is not self._told_of:
            self._told, self._told_of = set(), enforced
        listed = enforced.policy.tier_of(use_case) is not None
        key = (use_case if listed else OTHER, refused.code)
        self._refused[key] += 1
        if key in self._told:
            return
        # Once: a client that tries again every second must not fill the audit log.
        self._told.add(key)
        log.warning("traffic_refused", use_case=use_case, code=refused.code, reason=refused.reason)
        if self._audit is not None:
            body = {"use_case": use_case, "code": refused.code, "reason": refused.reason}
            self._audit.note("traffic_refused", body)


def tell_whether_enforced(metrics: Metrics, *, is_on: bool) -> None:
    """Tell whether only use cases that the gate opened get traffic."""
    metrics.watch_gauge(
        "voicectl_enforcement_on",
        "Whether only use cases that the gate opened get traffic; 0 is governance.enforce: false.",
        lambda: is_on,
    )


def tell_traffic(metrics: Metrics, rollout: LiveRollout, traffic: Traffic) -> None:
    """Tell what is open, whether that is proven, and which calls were turned away."""
    metrics.watch_gauge(
        "voicectl_use_case_open", "1 for use cases that get traffic.", traffic.opened, ("use_case", "tier")
    )
    metrics.watch_gauge(
        "voicectl_rollout_proven",
        "Whether policy, reviewers and rollout state can be believed; else nothing is open.",
        lambda: rollout.enforcement.state.problem is None,
    )
    metrics.watch_counter(
        "voicectl_rollout_loads",
        "Readings of those files that changed something, by whether they could be believed.",
        lambda: {"believed": rollout.num_loaded, "refused": rollout.num_failed},
        ("outcome",),
    )
    metrics.watch_counter(
        "voicectl_traffic_refused",
        "Calls refused because their use case gets no traffic.",
        traffic.refused,
        ("use_case", "code"),
    )
