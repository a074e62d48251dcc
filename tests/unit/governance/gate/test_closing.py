"""A demotion is done at once and whole, whatever the audit log and the clock say."""

from pathlib import Path

import pytest

from tests.fakes.reviewers import NOW
from voicectl.core.errors import ConfigError, UsageError
from voicectl.governance.audit.log import AuditLog
from voicectl.governance.gate.closing import close
from voicectl.governance.gate.ledger import Ledger
from voicectl.governance.policy.errors import AuditBroken
from voicectl.governance.policy.load import load_policy
from voicectl.governance.rollout.state import Change, Enforcement, read_state

POLICY = load_policy()


class RefusingLedger(Ledger):
    """A ledger that takes no entry of some use cases, and keeps the others."""

    def __init__(self, folder: Path, refused: tuple[str, ...] = ()) -> None:
        super().__init__(AuditLog(folder / "audit"), folder / "key")
        self.told: list[str]
        object.__setattr__(self, "told", [])
        object.__setattr__(self, "refused", refused)

    def note_change(self, change: Change, before: Enforcement) -> None:
        (name,) = change.use_cases
        if name in self.refused:  # type: ignore[attr-defined]
            raise ConfigError(f"no room for {name}")
        self.told.append(name)


def test_use_cases_of_several_tiers_are_closed_though_the_audit_log_refuses(tmp_path: Path) -> None:
    path, ledger = tmp_path / "rollout.json", RefusingLedger(tmp_path, ("faq", "account_changes"))
    reasons = dict.fromkeys(("faq", "order_status", "account_changes", "loan_status"), "a test")
    with pytest.raises(AuditBroken, match="no room for faq; no room for account_changes") as refused:
        close(POLICY, ledger, path, reasons, by="somebody", now=NOW)
    assert refused.value.exit_code == 25
    state = read_state(path)
    assert [change.use_cases for change in state.changes] == [
        ("faq", "order_status"),
        ("account_changes",),
        ("loan_status",),
    ]
    assert ledger.told == ["order_status", "loan_status"]


def test_one_that_is_not_listed_closes_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        close(POLICY, RefusingLedger(tmp_path), tmp_path / "r.json", {"faq": "x", "none": "x"}, by="y", now=NOW)
    assert read_state(tmp_path / "r.json").serial == 0


def test_what_was_said_is_kept_as_a_line_that_can_be_read(tmp_path: Path) -> None:
    reason = "wrong\nhours \x1b[31m\udcff" + "x" * 70_000
    state = close(POLICY, RefusingLedger(tmp_path), tmp_path / "r.json", {"faq": reason}, by="a\tb", now=NOW)
    (change,) = state.changes
    assert change.reason.startswith("wrong hours \N{REPLACEMENT CHARACTER}[31m\N{REPLACEMENT CHARACTER}xx")
    assert (len(change.reason), change.by) == (512, "a b")


def test_a_clock_that_was_turned_back_stops_no_demotion(tmp_path: Path) -> None:
    path, ledger = tmp_path / "r.json", RefusingLedger(tmp_path)
    close(POLICY, ledger, path, {"faq": "x"}, by="y", now=NOW)
    state = close(POLICY, ledger, path, {"order_status": "x"}, by="y", now=NOW - 3600)
    assert [change.at for change in state.changes] == [NOW, NOW]
