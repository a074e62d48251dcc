"""Put together what decides which calls are taken: the gate's files, the alerts that demote, and who was refused."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from voicectl.core.ports import AuditTrail
from voicectl.core.profile import Profile
from voicectl.core.rollout import Rollout
from voicectl.service.governing.alerts import AlertWatch, tell_alerts
from voicectl.service.governing.demoting import evaluate_apart
from voicectl.service.governing.rollout import LiveRollout, Unenforced, refuse_unlisted, tell_unenforced
from voicectl.service.governing.traffic import Traffic, tell_traffic, tell_whether_enforced
from voicectl.service.operations.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Door:
    """`rollout` is asked for every call; the others are None where nothing is enforced."""

    rollout: Rollout
    live: LiveRollout | None = None
    traffic: Traffic | None = None
    alerts: AlertWatch | None = None

    def open(self, metrics: Metrics, run: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        """Follow the files and the alerts by tasks that `run` starts, and let the metrics tell of it."""
        tell_whether_enforced(metrics, is_on=self.live is not None)
        if self.live is None or self.traffic is None or self.alerts is None:
            return
        run(self.live.watch())
        run(self.alerts.run())
        tell_traffic(metrics, self.live, self.traffic)
        tell_alerts(metrics, self.alerts)

    async def settled(self) -> None:
        """Return once it is known which use cases are open."""
        if self.alerts is not None:
            await self.alerts.settled()


def door_of(profile: Profile, audit: AuditTrail | None, *, private: bool = False) -> Door:
    """Return the door of a profile; a `private` gateway, of one command, may be open to all without a word.

    Raises PolicyInvalid, and ConfigError for a use case that is not listed.
    """
    settings = profile.governance
    if not settings.enforce:
        if not private:
            tell_unenforced(audit)
        return Door(Unenforced())
    live = LiveRollout(profile.access.reload_s, audit=audit)
    refuse_unlisted(profile, live.enforcement)
    alerts = AlertWatch(
        lambda: live.enforcement,
        lambda: evaluate_apart(profile, timeout_s=settings.alerts_overdue_s),
        settings,
    )
    traffic = Traffic(live, overdue=alerts.overdue, audit=audit)
    return Door(traffic, live, traffic, alerts)
