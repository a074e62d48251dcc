"""A use case's evidence begins anew with its own moves alone, and its violations lapse by demotion and promotion."""

import random
from typing import Literal

from tests.fakes.gate_case import DAY, NOW, GateCase, quiet_policy
from voicectl.governance.gate.entries import ALWAYS, Entry, entries
from voicectl.governance.rollout.state import Change, RolloutState, folded

LOW = quiet_policy().tiers["low"].use_cases


def moved(
    action: Literal["promote", "demote"], at: float, *names: str, tier: Literal["low", "medium"] = "low"
) -> Change:
    return Change(action=action, tier=tier, use_cases=names, at=at, by="x", reason="x", previous="")


def entry_of(name: str, *changes: Change, tier: Literal["low", "medium"] = "low") -> Entry:
    return entries(quiet_policy(), tier, RolloutState(changes))[name]


def test_what_was_never_moved_counts_from_the_beginning() -> None:
    assert set(entries(quiet_policy(), "low", RolloutState()).values()) == {ALWAYS}


def test_a_demotion_begins_anew_what_was_demoted_alone() -> None:
    out = moved("demote", 5.0, "faq")
    assert entry_of("faq", out).since == 5.0
    assert entry_of("order_status", out) == ALWAYS


def test_violations_lapse_only_once_a_promotion_follows() -> None:
    out, back = moved("demote", 5.0, "faq"), moved("promote", 9.0, *LOW)
    assert entry_of("faq", out).forgiven_at == 0.0
    assert entry_of("faq", out, back) == Entry(since=9.0, forgiven_at=5.0)
    assert entry_of("faq", out, back, moved("demote", 12.0, "faq")) == Entry(since=12.0, forgiven_at=5.0)


def test_promoting_what_is_open_begins_nothing_anew() -> None:
    assert entry_of("order_status", moved("demote", 5.0, "faq"), moved("promote", 9.0, *LOW)) == ALWAYS
    into = moved("promote", 5.0, "account_changes", tier="medium")
    again = moved("promote", 9.0, "account_changes", tier="medium")
    assert entry_of("account_changes", into, again, tier="medium") == Entry(since=5.0)


def test_a_clock_that_was_set_back_brings_no_calls_back() -> None:
    found = entry_of("faq", moved("demote", 50.0, "faq"), moved("promote", 9.0, "faq"))
    assert found.since >= found.forgiven_at == 50.0


def test_a_violation_stands_until_its_own_use_case_left_it_behind() -> None:
    case = GateCase()
    case.violations.append({"kind": "missing_consent", "use_case": "faq", "at": NOW - DAY})
    other, own = {"business_hours": Entry(NOW, NOW)}, {"faq": Entry(NOW - DAY / 2, NOW - DAY / 2)}
    assert case.evidence(entered=other).violations == {"missing_consent": 1}
    assert case.evidence(entered={"faq": Entry(NOW - DAY / 2, 0.0)}).violations == {"missing_consent": 1}
    assert case.evidence(entered=own).violations == {}


def test_a_violation_of_no_use_case_stands_until_all_left_it_behind() -> None:
    case = GateCase()
    case.violations.append({"kind": "pan_in_log", "use_case": None, "at": NOW - DAY})
    left = dict.fromkeys(LOW, Entry(NOW - 60, NOW - 60))
    assert case.evidence(entered={**left, "faq": ALWAYS}).violations == {"pan_in_log": 1}
    assert case.evidence(entered=left).violations == {}


def test_a_violation_that_a_row_shows_stands_while_its_use_case_is_demoted() -> None:
    case = GateCase()
    row = next(row for row in random.Random(1).sample(case.rows[:-10], 100) if row["use_case"] == "faq")
    row |= {"direction": "outbound", "dnc_listed": True, "window_verdict": "allowed", "consent_id": "c"}
    closed = case.evidence(entered={"faq": Entry(NOW - 7200, 0.0)})
    assert closed.violations == {"dnc_dial": 1}
    assert case.evidence(entered={"faq": Entry(NOW - 7200, NOW - 7200)}).violations == {}


def test_the_calls_of_other_use_cases_stay_when_one_is_demoted() -> None:
    whole, less = GateCase().evidence(), GateCase().evidence(entered={"faq": Entry(NOW - 7200, 0.0)})
    numbers = [{one.use_case: one.num_calls for one in found.use_cases} for found in (whole, less)]
    assert numbers[1]["faq"] <= 1 < numbers[0]["faq"]
    assert all(numbers[0][name] == numbers[1][name] for name in LOW if name != "faq")
    assert whole.digest != less.digest


def test_folded_changes_still_begin_the_evidence_and_forgive_nothing() -> None:
    into = moved("demote", 5.0, "faq"), moved("promote", 9.0, *LOW), moved("demote", 12.0, "order_status")
    state = RolloutState(into)
    short = RolloutState((), base=folded(state, len(into)))
    found = entries(quiet_policy(), "low", short)
    assert found["order_status"].since == 12.0
    assert found["faq"] == Entry(since=9.0), "the demotion before is not told any more"
    back = RolloutState((moved("promote", 15.0, *LOW),), base=folded(state, len(into)))
    assert entries(quiet_policy(), "low", back)["order_status"] == Entry(since=15.0, forgiven_at=12.0)
