"""What the alerts demote is demoted, tier by tier, whatever goes wrong with one of them."""

from collections.abc import Mapping

import pytest

from voicectl.core.errors import ConfigError
from voicectl.governance.policy.errors import AuditBroken
from voicectl.governance.policy.load import load_policy
from voicectl.governance.rollout.state import Change, Enforcement, RolloutState, appended
from voicectl.service.governing.desk import demote_due


class AlertDesk:
    """A desk whose alerts are as told; the audit log of some tiers refuses."""

    def __init__(self, due: Mapping[str, dict[str, str] | ConfigError], *, refusing: bool = False) -> None:
        self.policy = load_policy()
        self.due = due
        self.refusing = refusing
        self.state = appended(
            RolloutState(), Change(action="demote", tier="low", use_cases=("faq",), at=1.0, by="x", reason="y")
        )
        self.closed: list[str] = []

    def demotions_due(self, tier: str) -> dict[str, str]:
        found = self.due.get(tier, {})
        if isinstance(found, ConfigError):
            raise found
        return found

    def enforcement(self) -> Enforcement:
        return Enforcement(self.policy.policy.model_copy(), self.state)

    def demote_each(self, reasons: Mapping[str, str], *, by: str) -> None:
        assert by == "alert"
        self.closed += reasons
        if self.refusing:
            raise AuditBroken("the disk is full")


def test_all_that_is_due_and_open_is_demoted() -> None:
    desk = AlertDesk({"low": {"faq": "a", "order_status": "b", "business_hours": "c"}})
    assert demote_due(desk) == {"order_status": "b", "business_hours": "c"}  # type: ignore[arg-type]
    assert desk.closed == ["order_status", "business_hours"], "what is closed already stays as it is"


def test_an_audit_log_that_refuses_keeps_no_use_case_open() -> None:
    desk = AlertDesk({"low": {"order_status": "b", "business_hours": "c"}}, refusing=True)
    with pytest.raises(AuditBroken):
        demote_due(desk)  # type: ignore[arg-type]
    assert desk.closed == ["order_status", "business_hours"]


def test_a_tier_without_evidence_keeps_no_other_tier_waiting() -> None:
    locked = ConfigError("the database is locked")
    desk = AlertDesk({"low": {"order_status": "b"}, "high": {}, "medium": locked})
    with pytest.raises(ConfigError, match="locked"):
        demote_due(desk)  # type: ignore[arg-type]
    first = AlertDesk({"low": locked, "medium": {}})
    with pytest.raises(ConfigError, match="locked"):
        demote_due(first)  # type: ignore[arg-type]
    assert desk.closed == ["order_status"]
