"""Nothing opens that is not shown to hold, and every way of spoiling the evidence keeps the tier closed."""

import random

import pytest

from tests.fakes.gate_case import DAY, HELD, NOW, SIGNED, SPOILERS, USE_CASES, GateCase, Spoiler, digest, quiet_policy
from voicectl.governance.gate.attestations import Requirement
from voicectl.governance.gate.explanation import shortfalls
from voicectl.governance.gate.verdict import SignOffState, decide


def test_good_evidence_with_signatures_promotes() -> None:
    assert GateCase().verdict().decision == "promote"


@pytest.mark.parametrize("spoiler", SPOILERS, ids=lambda spoiler: spoiler.__name__)
def test_spoiled_evidence_never_promotes(spoiler: Spoiler) -> None:
    case = GateCase()
    spoiler(case, random.Random(1))
    assert case.verdict().decision != "promote"


def test_without_signatures_the_exit_code_is_23() -> None:
    verdict = GateCase().verdict(signoff=SignOffState(missing=("nobody has signed",)))
    assert (verdict.decision, verdict.exit_code, verdict.holds_but_for_signatures) == ("unsigned", 23, True)


def test_a_signature_count_of_nothing_is_not_signed() -> None:
    assert GateCase().verdict(signoff=SignOffState()).exit_code == 23


def test_few_calls_hold_with_20_and_say_how_many_more() -> None:
    verdict = GateCase(days=2).verdict()
    result = next(one for one in verdict.criteria if one.metric == "containment_rate")
    assert verdict.exit_code == 20
    assert result.state == "hold"
    assert result.more_events is not None and result.more_events >= 200 - result.window.total


def test_early_containment_below_the_bar_holds_and_later_fails() -> None:
    assert GateCase(days=20, contained=0.5).verdict().exit_code == 20
    assert GateCase(days=62, per_day=40, contained=0.5).verdict().exit_code == 21


def test_flags_above_the_bar_fail_with_21() -> None:
    assert GateCase(days=20, flagged=0.15).verdict().exit_code == 21


def test_zero_tolerance_stands_above_everything() -> None:
    case = GateCase()
    case.violations.append({"kind": "pan_in_log", "use_case": None, "at": NOW - DAY})
    assert case.verdict(audit_problem="broken").exit_code == 26


def test_a_broken_audit_log_stops_with_25() -> None:
    assert GateCase().verdict(audit_problem="line 3: changed").exit_code == 25


def test_an_entry_requirement_that_nobody_vouches_for_holds_with_22() -> None:
    needs = (*HELD, Requirement("rollback_plan", "checklist", False, "nobody vouches for it"))
    verdict = decide(
        quiet_policy(), "medium", ("account_changes",), GateCase().evidence(), requirements=needs, signoff=SIGNED,
        audit_problem=None, closed_below=(),
    )  # fmt: skip
    assert verdict.exit_code == 22


def test_a_closed_use_case_of_the_tier_below_holds_and_is_named() -> None:
    verdict = GateCase().verdict(closed_below=("faq", "order_status"))
    assert verdict.exit_code == 20
    assert [line.text for line in shortfalls(verdict, quiet_policy())] == ["tier low: is not open to faq, order_status"]


def test_evidence_of_another_tier_is_none() -> None:
    verdict = decide(
        quiet_policy(), "high", ("loan_status",), GateCase().evidence(), requirements=HELD, signoff=SIGNED,
        audit_problem=None, closed_below=(),
    )  # fmt: skip
    assert verdict.exit_code == 22


def test_forty_calls_on_a_new_model_in_the_last_hour_are_not_promoted_on_the_old_ones() -> None:
    case = GateCase()
    for number in range(40):
        at, name = NOW - 3000 + 60 * number, USE_CASES[number % len(USE_CASES)]
        case.rows.append({**case.rows[-1], "call_id": f"new{number}", "trace_id": f"{number:031x}z", "use_case": name,
                          "started_at": at, "answered_at": at, "ended_at": at + 30, "model_digest": digest("7"),
                          "resolved": False, "compliance_flagged": True})  # fmt: skip
    assert case.verdict().decision != "promote"


def test_a_use_case_with_calls_enough_of_its_own_can_veto() -> None:
    case = GateCase(days=10, per_day=200, contained=0.88)
    for row in case.rows:
        if row["use_case"] == "faq" and row["resolved"] and hash(row["call_id"]) % 10 < 3:
            row["resolved"] = False
    verdict = case.verdict()
    assert verdict.exit_code == 20
    assert {veto.use_case for veto in verdict.vetoes} == {"faq"}
