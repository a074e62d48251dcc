"""Rates that a judge counted are corrected for its errors, and its errors are taken at their worst to decide."""

import pytest

from voicectl.governance.gate.judge import JudgeError, apparent_bar, corrected

ERRORS = JudgeError(true_yes=90, false_yes=20, true_no=80, false_no=10)


@pytest.mark.parametrize("true", [0.1, 0.5, 0.7, 0.95])
def test_the_true_rate_is_found_again(true: float) -> None:
    apparent = true * 0.9 + (1 - true) * 0.2
    assert corrected(apparent, ERRORS, good_is_yes=True) == pytest.approx(true)
    good_is_no = true * 0.8 + (1 - true) * 0.1
    assert corrected(good_is_no, ERRORS, good_is_yes=False) == pytest.approx(true)


@pytest.mark.parametrize("good_is_yes", [True, False])
def test_the_bar_is_never_below_what_the_labels_say(good_is_yes: bool) -> None:
    right, wrong = (0.9, 0.2) if good_is_yes else (0.8, 0.1)
    by_labels = 0.7 * right + 0.3 * wrong
    judged = apparent_bar(0.7, ERRORS, 0.05, good_is_yes=good_is_yes, all_judged=True)
    mixed = apparent_bar(0.7, ERRORS, 0.05, good_is_yes=good_is_yes, all_judged=False)
    assert by_labels < judged < mixed < 1


def test_few_labels_or_chance_are_no_evidence() -> None:
    assert "29" in (JudgeError(29, 0, 100, 0).doubt(0.05) or "")
    assert "chance" in (JudgeError(50, 50, 50, 50).doubt(0.05) or "")
    assert ERRORS.doubt(0.05) is None
