"""A rate says what it rests on, and nothing where nothing is known."""

import pytest
from scipy.stats import binomtest

from voicectl.governance.kpi.rate import Rate, total, wilson


def test_nothing_known_is_unknown_and_not_zero() -> None:
    rate = Rate(0, 0, 7)
    assert rate.value is None
    assert rate.interval is None
    assert rate.document() == {"value": None, "low": None, "high": None, "num": 0, "of": 0, "unknown": 7}


@pytest.mark.parametrize(("num", "of"), [(0, 1), (1, 1), (3, 10), (133, 133), (140, 200)])
def test_wilson_is_that_of_scipy(num: int, of: int) -> None:
    interval = binomtest(num, of).proportion_ci(method="wilson")
    assert wilson(num, of) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_rates_add_up_by_counts() -> None:
    assert total([Rate(1, 2, 3), Rate(4, 5)]) == Rate(5, 7, 3)
    assert Rate(2, 5, 1).complement == Rate(3, 5, 1)


@pytest.mark.parametrize(("num", "of", "unknown"), [(-1, 2, 0), (3, 2, 0), (0, 0, -1)])
def test_what_is_no_proportion_is_refused(num: int, of: int, unknown: int) -> None:
    with pytest.raises(ValueError, match="no proportion"):
        Rate(num, of, unknown)
