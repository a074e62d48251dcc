"""A judge is believed as far as humans bear it out, and a rate is corrected only where that means something."""

import numpy as np
import pytest

from voicectl.governance.kpi.rate import Rate
from voicectl.governance.score.calibration import JudgeQuality, JudgeTooWeak, corrected_rate, judge_quality


def quality(true_yes: int, false_yes: int, true_no: int, false_no: int) -> JudgeQuality:
    return JudgeQuality("resolved", true_yes, false_yes, true_no, false_no)


def test_pairs_are_counted_human_first() -> None:
    pairs = [(True, True)] * 4 + [(True, False)] * 3 + [(False, True)] * 2 + [(False, False)]
    found = judge_quality("resolved", pairs)
    assert (found.true_yes, found.false_no, found.false_yes, found.true_no) == (4, 3, 2, 1)
    assert (found.sensitivity, found.specificity) == (Rate(4, 7), Rate(1, 3))


def test_kappa_is_that_of_the_textbook() -> None:
    # Cohen's kappa of 20, 5, 15, 10 is (0.7 - 0.5) / (1 - 0.5).
    found = quality(20, 5, 15, 10).kappa
    assert found is not None
    assert found.value == pytest.approx(0.4)
    assert found.low < 0.4 < found.high


def test_a_judge_that_was_never_wrong_may_still_be_wrong() -> None:
    few, many = quality(30, 0, 30, 0).kappa, quality(3_000, 0, 3_000, 0).kappa
    assert few is not None
    assert many is not None
    assert few.value == few.high == many.value == 1
    assert few.low < 0.97 < many.low < 1


@pytest.mark.parametrize(("se", "sp", "num"), [(0.9, 0.8, 60), (0.98, 0.98, 60), (0.7, 0.7, 40)])
def test_the_interval_of_kappa_covers_it_as_often_as_it_says(se: float, sp: float, num: int) -> None:
    # Half of all calls are yes: chance agrees on half of them, and kappa is that of the expected table.
    true = 2 * ((se + sp) / 2 - 0.5)
    draw = np.random.default_rng(1)
    hits, runs = 0, 250
    for _ in range(runs):
        yes = draw.binomial(num, 0.5)
        right_yes, right_no = draw.binomial(yes, se), draw.binomial(num - yes, sp)
        found = quality(right_yes, num - yes - right_no, right_no, yes - right_yes).kappa
        assert found is not None
        hits += found.low <= true <= found.high
    assert hits / runs >= 0.93


def test_a_judge_that_always_says_yes_is_no_evidence() -> None:
    lazy = quality(60, 40, 0, 0)
    assert lazy.kappa is not None
    assert lazy.kappa.value == 0
    assert not lazy.is_evidence
    with pytest.raises(JudgeTooWeak, match=r"is not above 0"):
        corrected_rate(Rate(90, 100), lazy)


def test_a_good_judge_with_few_labels_is_no_evidence() -> None:
    assert quality(29, 0, 100, 0).doubt == "29 calls labelled yes and 100 labelled no by humans; 30 of each are needed"
    assert quality(30, 0, 30, 0).is_evidence


def test_without_labels_nothing_is_corrected() -> None:
    empty = quality(0, 0, 0, 0)
    assert empty.youden is empty.kappa is None
    with pytest.raises(JudgeTooWeak, match="nothing to correct by"):
        corrected_rate(Rate(1, 2), empty)
    with pytest.raises(JudgeTooWeak):
        corrected_rate(Rate(0, 0), quality(50, 0, 50, 0))


def test_correction_takes_the_judges_errors_back() -> None:
    found = corrected_rate(Rate(740, 1000), quality(180, 20, 80, 20))
    assert found.value == pytest.approx((0.74 + 0.8 - 1) / (0.9 + 0.8 - 1))
    assert found.low < found.value < found.high
    perfect = corrected_rate(Rate(740, 1000), quality(100_000, 0, 100_000, 0))
    assert perfect.value == 0.74
    assert perfect.high - perfect.low < 0.06


def test_a_corrected_rate_stays_a_proportion() -> None:
    assert corrected_rate(Rate(100, 100), quality(80, 20, 90, 10)).value == 1
    assert corrected_rate(Rate(0, 100), quality(80, 20, 90, 10)).value == 0


@pytest.mark.parametrize(("true", "se", "sp"), [(0.7, 0.9, 0.85), (0.03, 0.8, 0.95), (0.95, 0.95, 0.7)])
def test_the_interval_covers_the_true_rate_as_often_as_it_says(true: float, se: float, sp: float) -> None:
    draw = np.random.default_rng(1)
    hits, runs = 0, 1000
    for _ in range(runs):
        yes, no = draw.binomial(100, se), draw.binomial(100, sp)
        num = draw.binomial(400, true * se + (1 - true) * (1 - sp))
        found = corrected_rate(Rate(num, 400), quality(yes, 100 - no, no, 100 - yes))
        hits += found.low <= true <= found.high
    assert hits / runs >= 0.94
