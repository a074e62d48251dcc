"""A rate is corrected for the judge only where the judge decided, and what is unknown never helps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.governance.gate.criteria import CriterionResult, judge_criterion
from voicectl.governance.gate.evidence import Evidence, Tally, UseCaseEvidence
from voicectl.governance.gate.judge import JudgeError
from voicectl.governance.policy.schema import Criterion

CRITERION = Criterion(gte=0.70, min_n=200)
OVERLOOKS = JudgeError(true_yes=800, false_yes=0, true_no=1000, false_no=200)
"""A judge with a sensitivity of 0.8 that takes nothing for good falsely."""
ERRS = JudgeError(true_yes=900, false_yes=100, true_no=900, false_no=100)


def result_of(window: Tally, errors: JudgeError = ERRS, total: Tally | None = None) -> CriterionResult:
    one = UseCaseEvidence(
        "faq", 0.0, num_calls=1, window={"containment_rate": window}, total={"containment_rate": total or window}
    )
    evidence = Evidence("low", 0.0, 0.0, (one,), judge={"resolved": errors})
    return judge_criterion("containment_rate", CRITERION, evidence, 0.05, early_until=None)


def estimate_of(window: Tally, errors: JudgeError = ERRS) -> float:
    # The total is that of a judge, so that a window without any judged event is corrected, too.
    estimate = result_of(window, errors, window + Tally(good=1, judged=1, judged_good=1)).estimate
    assert estimate is not None
    return estimate


def test_unknown_outcomes_are_not_made_up_for_by_what_the_judge_overlooks() -> None:
    result = result_of(Tally(good=1134, bad=270, unknown=396, judged=1404, judged_good=1134), OVERLOOKS)
    assert result.estimate == pytest.approx(0.63)
    assert result.state != "met"


def test_one_judged_call_does_not_correct_those_that_are_proven() -> None:
    result = result_of(Tally(good=1095, bad=702, judged=1, judged_good=1), OVERLOOKS)
    assert result.estimate == pytest.approx(0.6095, abs=0.001)
    assert result.state != "met"
    assert result.e_value < 1


def test_proven_good_events_let_no_judge_lower_the_bar_of_the_e_value() -> None:
    # At the bar exactly, half of it by proof: what is seen is more than a judge alone would have seen.
    found = Tally(good=6300, bad=3700, judged=5000, judged_good=2800)
    assert result_of(found, OVERLOOKS).e_value < 1 < result_of(Tally(6300, 3700, 0, 10_000, 6300), OVERLOOKS).e_value


@pytest.mark.parametrize("judged", [0.0, 0.01, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("rate", [0.3, 0.6, 0.75, 0.95])
def test_the_estimate_is_unbiased_whatever_share_is_judged(judged: float, rate: float) -> None:
    chance, calls, runs = np.random.default_rng(5), 2000, 200
    found = []
    for _ in range(runs):
        by_judge, good = chance.random(calls) < judged, chance.random(calls) < rate
        seen = np.where(by_judge, chance.random(calls) < np.where(good, 0.9, 0.1), good)
        tally = Tally(int(seen.sum()), int((~seen).sum()), 0, int(by_judge.sum()), int((seen & by_judge).sum()))
        found.append(estimate_of(tally))
    error = 4 * float(np.std(found)) / runs**0.5
    assert np.mean(found) == pytest.approx(rate, abs=error)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=300), st.data())
def test_an_outcome_that_gets_lost_never_raises_the_estimate(
    events: list[tuple[bool, bool]], data: st.DataObject
) -> None:
    lost = data.draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events)))
    whole = sum((_one(*event) for event in events), Tally())
    less = sum((Tally(unknown=1) if gone else _one(*event) for event, gone in zip(events, lost, strict=True)), Tally())
    assert estimate_of(less) <= estimate_of(whole) + 1e-12


def _one(good: bool, judged: bool) -> Tally:
    return Tally(int(good), int(not good), 0, int(judged), int(good and judged))
