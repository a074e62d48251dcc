"""Rates that a judge counted are corrected for its errors, and its errors are taken at their worst to decide."""

import math

import numpy as np
import pytest

from voicectl.governance.gate.judge import JudgeError, apparent_bar, corrected
from voicectl.governance.gate.statistics import log_e_value

ERRORS = JudgeError(true_yes=90, false_yes=20, true_no=80, false_no=10)


@pytest.mark.parametrize("true", [0.1, 0.5, 0.7, 0.95])
def test_the_true_number_is_found_again(true: float) -> None:
    apparent = round(1000 * (true * 0.9 + (1 - true) * 0.2))
    assert corrected(apparent, 1000, 0, ERRORS, good_is_yes=True) == pytest.approx(1000 * true)
    good_is_no = round(1000 * (true * 0.8 + (1 - true) * 0.1))
    assert corrected(good_is_no, 1000, 0, ERRORS, good_is_yes=False) == pytest.approx(1000 * true)


def test_what_the_judge_overlooked_may_be_among_the_unknown() -> None:
    assert corrected(720, 1000, 0, JudgeError(80, 0, 100, 20), good_is_yes=True) == pytest.approx(900)
    assert corrected(720, 1000, 100, JudgeError(80, 0, 100, 20), good_is_yes=True) == pytest.approx(800)
    assert corrected(720, 1000, 500, JudgeError(80, 0, 100, 20), good_is_yes=True) == pytest.approx(720)


@pytest.mark.parametrize("good_is_yes", [True, False])
def test_the_bar_is_never_below_what_the_labels_say(good_is_yes: bool) -> None:
    right, wrong = (0.9, 0.2) if good_is_yes else (0.8, 0.1)
    by_labels = 0.7 * right + 0.3 * wrong
    judged = apparent_bar(0.7, ERRORS, 0.05, good_is_yes=good_is_yes, some_proven=False)
    mixed = apparent_bar(0.7, ERRORS, 0.05, good_is_yes=good_is_yes, some_proven=True)
    assert by_labels < judged < mixed < 1
    assert mixed > 0.7 + 0.3 * wrong


def test_few_labels_or_chance_are_no_evidence() -> None:
    assert "29" in (JudgeError(29, 0, 100, 0).doubt(0.05) or "")
    assert "chance" in (JudgeError(50, 50, 50, 50).doubt(0.05) or "")
    assert ERRORS.doubt(0.05) is None


@pytest.mark.parametrize("sought", ["none", "some", "for what looks bad"])
def test_a_rate_at_the_bar_rarely_passes_wherever_proof_is_sought(sought: str) -> None:
    chance, shape = np.random.default_rng(3), (500, 3600)
    good = chance.random(shape) < 0.7
    looks = chance.random(shape) < np.where(good, 0.9, 0.2)
    proven = {"none": np.zeros(shape, dtype=bool), "some": chance.random(shape) < 0.3, "for what looks bad": ~looks}
    seen = np.where(proven[sought], good, looks).cumsum(axis=1)[:, 59::60]
    bar = apparent_bar(0.7, ERRORS, 0.05, good_is_yes=True, some_proven=sought != "none")
    passed = log_e_value(seen, np.arange(60, 3601, 60), bar) >= math.log(20)
    assert passed.any(axis=1).mean() < 0.05
