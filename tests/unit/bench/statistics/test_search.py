import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.bench.statistics.search import SearchPlan, Try, conclude, next_try

PLAN = SearchPlan(start=4, least=1, most=256)


def searched(truth: float, plan: SearchPlan = PLAN, flips: frozenset[int] = frozenset()) -> list[Try]:
    tries: list[Try] = []
    while (load := next_try(tries, plan).load) is not None:
        met = (load <= truth) != (len(tries) in flips)
        tries.append(Try(load, "met" if met else "missed", 100, value=load / truth))
        assert len(tries) <= plan.most_tries
    return tries


@settings(max_examples=40, deadline=None)
@given(st.floats(1.0, 200.0))
def test_the_boundary_is_enclosed_to_the_precision(truth: float) -> None:
    tries = searched(truth)
    found = conclude(tries, PLAN)
    assert found.low is not None
    assert found.high is not None
    assert found.load == found.low <= truth < found.high
    assert found.high / found.low <= 1.101 or len(tries) == PLAN.most_tries


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.frozensets(st.integers(0, 13), max_size=2))
def test_noise_widens_the_interval_and_never_turns_it_round(truth: int, flips: frozenset[int]) -> None:
    found = conclude(searched(truth + 0.5, SearchPlan(8, 1, 64, whole=True), flips), PLAN)
    if found.low is not None and found.high is not None:
        assert found.low < found.high


@pytest.mark.parametrize("truth", [1, 3, 7, 20, 63])
def test_whole_loads_are_found_exactly(truth: int) -> None:
    plan = SearchPlan(4, 1, 64, precision=0.01, whole=True)
    tries = searched(truth + 0.5, plan)
    found = conclude(tries, plan)
    assert (found.load, found.high) == (truth, truth + 1)
    assert all(each.load == int(each.load) for each in tries)


def test_both_sides_of_the_boundary_are_seen_twice() -> None:
    tries = searched(10.0)
    found = conclude(tries, PLAN)
    assert sum(each.load == found.low for each in tries) >= 2
    assert sum(each.load == found.high for each in tries) >= 2


def test_an_impossible_threshold_says_the_best_that_was_seen() -> None:
    found = conclude(searched(0.5), PLAN)
    assert found.load is None
    assert (found.best_load, found.best_value) == (1, pytest.approx(2.0))
    assert "even 1 misses" in found.reason


def test_a_threshold_that_is_always_kept_ends_at_the_most() -> None:
    found = conclude(searched(math.inf), PLAN)
    assert (found.load, found.high) == (256, None)


def test_invalid_runs_are_tried_again_once_and_bound_nothing() -> None:
    tries = [Try(4, "met"), Try(8, "invalid")]
    assert next_try(tries, PLAN).load == 8
    tries.append(Try(8, "invalid"))
    following = next_try(tries, PLAN).load
    assert following is not None
    assert 4 < following < 8
    assert conclude(tries, PLAN).high is None


def test_nothing_measured_ends_the_search_with_nothing_known() -> None:
    tries: list[Try] = []
    while (load := next_try(tries, PLAN).load) is not None:
        tries.append(Try(load, "invalid"))
    assert conclude(tries, PLAN).load is None
    assert len(tries) <= PLAN.most_tries


def test_contradicting_outcomes_span_the_interval() -> None:
    tries = [Try(4, "met"), Try(8, "missed"), Try(9, "met"), Try(16, "missed")]
    found = conclude(tries, PLAN)
    assert (found.low, found.high) == (4, 16)
    assert "contradict" in found.reason
