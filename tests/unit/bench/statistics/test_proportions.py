import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.bench.statistics.proportions import proportion


def test_wilson_interval_is_the_published_one() -> None:
    found = proportion("x", 15, 148)
    # Newcombe (1998), table I: 15 of 148.
    assert (found.low, found.high) == (pytest.approx(0.0624, abs=1e-4), pytest.approx(0.1605, abs=1e-4))


def test_rates_of_fewer_than_ten_are_hidden() -> None:
    assert proportion("x", 1, 9).rate is None
    assert proportion("x", 1, 10).rate == pytest.approx(0.1)
    assert proportion("x", 0, 0).low is None


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_interval_holds_the_rate(pair: tuple[int, int]) -> None:
    found = proportion("x", *pair)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= pair[0] / pair[1] <= found.high <= 1
