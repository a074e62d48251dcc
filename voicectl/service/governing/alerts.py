"""Have the policy's alerts evaluated regularly while one of them may demote, and close what nobody looked at."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.errors import VoicectlError
from voicectl.core.rollout import Refused
from voicectl.core.sections.governance import Governance
from voicectl.governance.policy.schema import Policy
from voicectl.governance.rollout.state import Enforcement
from voicectl.service.operations.metrics import Metrics

log = structlog.get_logger(__name__)

LOOK_S: Final = 1.0
"""How soon another policy is noticed."""

Evaluate = Callable[[], Awaitable[Mapping[str, str]]]
"""Evaluates all alerts, demotes what is due, and returns the use cases with their reasons. Raises VoicectlError."""
Sleep = Callable[[float], Awaitable[None]]


def may_demote(policy: Policy) -> bool:
    """Return whether any alert takes use cases out of traffic by itself."""
    return any(alert.demote for alert in policy.alerts)


class AlertWatch:
    """A task of the gateway. `overdue` closes every use case while the last evaluation is too old, or failed since.

    An evaluation counts for the policy that it was made under. A policy without alerts that demote needs none.
    """

    def __init__(
        self,
        enforcement: Callable[[], Enforcement],
        evaluate: Evaluate,
        settings: Governance,
        *,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.num_evaluated = 0
        self.num_failed = 0
        self.num_demoted = 0
        self._enforcement = enforcement
        self._evaluate = evaluate
        self._every_s = settings.alerts_every_s
        self._overdue_s = settings.alerts_overdue_s
        self._clock = clock or MonotonicClock()
        self._sleep = sleep
        self._evaluated_at: float | None = None
        self._tried_at: float | None = None
        self._policy: str | None = None
        self._tried = asyncio.Event()

    async def settled(self) -> None:
        """Return once the alerts were tried to be evaluated, at once where none demotes."""
        if may_demote(self._enforcement().policy):
            await self._tried.wait()

    def overdue(self, _use_case: str) -> Refused | None:
        """Return why no use case gets traffic although it is open; None while the alerts are known to be quiet."""
        if not self.is_overdue:
            return None
        return Refused(
            "alerts_overdue",
            f"the alerts that would demote it were not evaluated within the last {self._overdue_s:.0f} s",
        )

    @property
    def is_overdue(self) -> bool:
        """Whether an alert that demotes may stand without anybody knowing."""
        enforced = self._enforcement()
        if not may_demote(enforced.policy):
            return False
        if self._evaluated_at is None or self._policy != enforced.policy_sha256:
            return True
        return self._clock.now() - self._evaluated_at > self._overdue_s

    async def run(self) -> None:
        """Evaluate whenever it is due, until cancelled."""
        while True:
            if self._is_due():
                await self._try()
            await self._sleep(LOOK_S)

    def _is_due(self) -> bool:
        enforced = self._enforcement()
        if not may_demote(enforced.policy):
            return False
        if self._tried_at is None or self._policy != enforced.policy_sha256:
            return True
        return self._clock.now() - self._tried_at >= self._every_s

    async def _try(self) -> None:
        began_at = self._tried_at = self._clock.now()
        policy = self._enforcement().policy_sha256
        if policy != self._policy:
            self._policy, self._evaluated_at = policy, None
        try:
            demoted = await self._evaluate()
        except VoicectlError as error:
            self.num_failed += 1
            log.error("alerts_not_evaluated", error=error.message, overdue=self.is_overdue)
            return
        finally:
            self._tried.set()
        self.num_evaluated += 1
        self.num_demoted += len(demoted)
        # What happens while evidence is read is not in it.
        self._evaluated_at = began_at
        for use_case, reason in demoted.items():
            log.error("use_case_demoted", use_case=use_case, reason=reason)


def tell_alerts(metrics: Metrics, alerts: AlertWatch) -> None:
    """Tell whether the alerts that demote are evaluated, and what they did."""
    metrics.watch_gauge(
        "voicectl_alerts_overdue",
        "Whether everything is closed because alerts that demote were not evaluated in time.",
        lambda: alerts.is_overdue,
    )
    metrics.watch_counter(
        "voicectl_alert_evaluations",
        "Evaluations of the alerts that demote, by what came of them.",
        lambda: {"done": alerts.num_evaluated, "failed": alerts.num_failed},
        ("outcome",),
    )
    metrics.watch_counter("voicectl_alert_demotions", "Use cases that alerts demoted.", lambda: alerts.num_demoted)
