"""Evidence is counted as it is, begins anew with what answers, and its digest changes with any of it."""

import random
from dataclasses import replace

import pytest

from tests.fakes.gate_case import DAY, NOW, USE_CASES, GateCase, digest, quiet_policy
from voicectl.core.records import CallRow, contained
from voicectl.governance.gate.collect import collect
from voicectl.governance.gate.facts import SIZES, UNKNOWN, facts_of
from voicectl.governance.gate.facts import contained as contained_of_facts
from voicectl.governance.gate.soundness import unsound

CHANGES = {
    "resolved": [None, False, True],
    "resolved_by": ["human", None],
    "abandoned": [None, True],
    "transfer_attempted": [None],
    "transfer_result": ["failed"],
    "compliance_flagged": [None, True],
    "escalated": [None],
    "score_state": ["failed"],
    "judge_digest": [None, digest("0")],
    "model_digest": [digest("0")],
    "prompt_digest": [None],
    "config_digest": [digest("1")],
    "tier": ["high"],
    "use_case": ["faq2"],
    "answered_at": [None],
    "probe": [True],
    "call_id": ["another"],
    "dtmf_paused": [True],
    "baa_complete": [False],
    "direction": ["outbound"],
    "incomplete": [True],
}


def test_any_change_of_a_row_changes_the_digest() -> None:
    chance, whole = random.Random(7), GateCase(days=3, per_day=30).evidence().digest
    for name, values in CHANGES.items():
        case = GateCase(days=3, per_day=30)
        row = chance.choice([row for row in case.rows[:-5] if row["transfer_attempted"]])
        if name in ("resolved", "answered_at"):
            row = chance.choice([row for row in case.rows[:-5] if row["resolved"]])
        changed = [value for value in values if value != row.get(name)]
        row[name] = chance.choice(changed)
        assert case.evidence().digest != whole, name


@pytest.mark.parametrize("name", ["started_at", "ended_at"])
def test_a_microsecond_changes_the_digest(name: str) -> None:
    case, whole = GateCase(days=3, per_day=30), GateCase(days=3, per_day=30).evidence().digest
    case.rows[50][name] += 4e-6
    assert case.evidence().digest != whole


def test_the_digest_does_not_depend_on_the_order_of_rows() -> None:
    case = GateCase(days=3, per_day=30)
    whole = case.evidence().digest
    random.Random(1).shuffle(case.rows)
    assert case.evidence().digest == whole


def test_the_same_instant_gives_the_same_evidence_later() -> None:
    early, late = GateCase(), GateCase()
    for number in range(30):
        at = NOW + 60 * number
        late.rows.append({**late.rows[-1], "call_id": f"new{number}", "trace_id": f"{number:031x}z",
                          "started_at": at, "answered_at": at, "ended_at": at + 30})  # fmt: skip
    assert late.evidence(now=NOW + 3600, as_of=NOW).digest == early.evidence().digest


def test_a_call_that_had_ended_and_is_written_late_changes_no_digest() -> None:
    early, late = GateCase(), GateCase()
    late.rows.append({**late.rows[-1], "call_id": "late", "trace_id": "1" * 32, "ended_at": NOW - 0.2,
                      "prompt_digest": None, "judge_digest": None, "score_state": "pending"})  # fmt: skip
    assert late.evidence().digest == early.evidence().digest


@pytest.mark.parametrize("name", ["model_digest", "prompt_digest", "config_digest"])
@pytest.mark.parametrize("ended_at", [NOW - 10.0, None])
def test_a_call_by_something_else_begins_evidence_anew_at_once(name: str, ended_at: float | None) -> None:
    case = GateCase()
    whole = case.evidence()
    fresh = {"started_at": NOW - 60, "ended_at": ended_at, "score_state": "pending", "judge_digest": None}
    case.rows.append({**case.rows[-1], **fresh, "call_id": "fresh", "trace_id": "1" * 32, name: digest("7")})
    evidence = case.evidence()
    begun = next(one for one in evidence.use_cases if one.use_case == case.rows[-1]["use_case"])
    assert (begun.num_calls, begun.was_changed) == (0, True)
    assert begun.judges == (digest("f"),)
    assert evidence.configuration_digest != whole.configuration_digest


def test_calls_without_events_are_counted_as_long_as_events_are_kept() -> None:
    case = GateCase()
    for at in (100, 500):
        times = {name: case.rows[at][name] + 37 for name in ("started_at", "answered_at", "ended_at")}
        case.rows.append({**case.rows[at], **times, "call_id": f"copy{at}", "trace_id": None})
    found = case.evidence()
    assert (found.structure.without_events, found.structure.duplicated) == (2, 0)
    assert unsound(found, quiet_policy()) == ("2 calls with a row but without events: not written by the recorder",)
    with case.connection() as connection:
        late = collect(connection, quiet_policy(), "low", as_of=NOW, now=NOW, entered={}, events_kept_s=5 * DAY)
    assert late.structure.without_events == 1


def test_calls_without_digests_are_told_although_nothing_is_known_of_what_answers() -> None:
    case = GateCase()
    for row in case.rows:
        if row["use_case"] == "faq":
            row |= dict.fromkeys(("model_digest", "prompt_digest", "config_digest"))
    assert case.evidence().structure.without_setup > 100


def test_evidence_begins_anew_with_the_last_change_of_what_answers() -> None:
    case = GateCase()
    for row in case.rows[: len(case.rows) // 2]:
        row["prompt_digest"] = digest("5")
    evidence = case.evidence()
    assert sum(one.num_calls for one in evidence.use_cases) == len(
        [r for r in case.rows[300:] if r["ended_at"] <= NOW - 3600]
    )
    assert all(one.was_changed for one in evidence.use_cases)


def test_probes_do_not_count() -> None:
    case = GateCase()
    for row in case.rows:
        row["probe"] = True
    evidence = case.evidence()
    assert evidence.total_of("containment_rate").total == 0
    # Latency is that of customers; words are counted where a reference is, and probes have one.
    assert (evidence.quality.num_turns, evidence.quality.v2v_p90_s) == (0, None)
    assert evidence.quality.wer_words > 0


def test_probes_neither_keep_evidence_fresh_nor_spoil_it() -> None:
    case = GateCase(days=3, per_day=30)
    case.rows = [row for row in case.rows if row["ended_at"] < NOW - DAY]
    case.turns, case.scores = [], []
    whole = case.evidence()
    own = case.rows[-1]
    for number, change in enumerate(
        (
            {"started_at": NOW - 700, "ended_at": NOW - 600},
            {"started_at": NOW + DAY, "ended_at": NOW + DAY},
            {"started_at": 1.0, "ended_at": 2.0},
            {"use_case": "other"},
            {"ended_at": None},
            {"score_state": "pending", "tier": "high"},
            {"dtmf_paused": True, "baa_complete": False},
        )
    ):
        case.rows.append({**own, **change, "call_id": f"probe{number}", "probe": True})
    assert case.evidence() == whole


def test_a_call_that_went_on_after_its_score_is_not_scored() -> None:
    case = GateCase(days=3, per_day=30)
    assert case.evidence().structure.unscored == 0
    for row in [row for row in case.rows if row["ended_at"] <= NOW - 3600][:4]:
        row["scored_at"] = row["ended_at"] - 1
    assert case.evidence().structure.unscored == 4


def test_who_is_told_of_another_judge_is_told_what_scores_its_calls_again() -> None:
    evidence = GateCase(days=3, per_day=30).evidence()
    mixed = replace(evidence, structure=replace(evidence.structure, other_judge=2))
    reasons = unsound(mixed, quiet_policy())
    assert "2 calls scored by another judge than the newest: run `voicectl calls score --all`" in reasons


def test_a_call_with_lost_events_is_no_success() -> None:
    case = GateCase(days=3, per_day=30)
    good = [row for row in case.rows if row["resolved"] and row["ended_at"] <= NOW - 3600]
    for row in good[:10]:
        row["incomplete"] = True
    evidence = case.evidence()
    assert evidence.total_of("containment_rate").unknown == 10
    assert evidence.total_of("compliance_flag_rate").unknown == 10


def test_complaints_count_only_once_matured_and_imported() -> None:
    case = GateCase(days=30)
    for row in case.rows:
        row["tier"], row["use_case"] = "medium", "account_changes"
    case.tier = "medium"
    complained = next(row for row in case.rows if row["escalated"])
    case.complaints.append({"complaint_id": "1", "call_id": complained["call_id"], "received_at": NOW - DAY})
    tally = case.evidence().total_of("escalation_to_complaint")
    matured = [row for row in case.rows if row["escalated"] and row["ended_at"] <= NOW - 3600 - 7 * DAY]
    assert (tally.bad, tally.total) == (1, len(matured))
    case.imported_at = None
    assert case.evidence().total_of("escalation_to_complaint").total == 0
    case.imported_at = NOW - 20 * DAY
    assert case.evidence().total_of("escalation_to_complaint").total < len(matured)


def test_containment_of_facts_is_that_of_a_call() -> None:
    three = (False, True, None)
    number = {False: 0, True: 1, None: UNKNOWN}
    for answered in (True, False):
        for resolved in three:
            for attempted in three:
                for abandoned in three:
                    row = CallRow("c", USE_CASES[0], "low", 0.0, answered_at=1.0 if answered else None,
                                  resolved=resolved, transfer_attempted=attempted, abandoned=abandoned)  # fmt: skip
                    facts = {"answered": int(answered), "resolved": number[resolved],
                             "attempted": number[attempted], "abandoned": number[abandoned]}  # fmt: skip
                    assert contained_of_facts(facts) == number[contained(row)]


def test_a_code_is_taken_apart_as_it_was_put_together() -> None:
    chance = random.Random(3)
    for _ in range(200):
        values = {name: chance.randrange(size) for name, size in SIZES.items()}
        use_case = chance.randrange(5)
        code = use_case
        for name, size in SIZES.items():
            code = code * size + values[name]
        place, facts = facts_of(code)
        assert place == use_case
        assert {name: facts[name] for name in values if name != "outbound"} == {
            name: value for name, value in values.items() if name != "outbound"
        }
