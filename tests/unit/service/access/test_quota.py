"""Rates and quotas as functions of time."""

from hypothesis import given
from hypothesis import strategies as st

from voicectl.service.access.quota import RateLimits, SessionQuotas


def test_a_minutes_requests_may_come_at_once_and_then_evenly() -> None:
    limits = RateLimits()
    assert [limits.take("k", 6, 100.0) for _ in range(6)] == [None] * 6
    assert limits.take("k", 6, 100.0) == 10.0
    assert limits.take("k", 6, 109.0) is not None
    assert limits.take("k", 6, 110.0) is None
    assert limits.take("other", 6, 100.0) is None


@given(
    st.integers(1, 120),
    st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=300),
)
def test_no_window_of_a_minute_passes_more_than_twice_the_rate(per_minute: int, gaps: list[float]) -> None:
    limits = RateLimits()
    now, passed = 0.0, []
    for gap in gaps:
        now += gap
        if limits.take("k", per_minute, now) is None:
            passed.append(now)
    for start in passed:
        assert sum(start <= at < start + 60.0 for at in passed) <= 2 * per_minute


@given(st.integers(1, 600), st.floats(0, 1000, allow_nan=False))
def test_who_waits_as_long_as_told_gets_in(per_minute: int, start: float) -> None:
    limits = RateLimits()
    wait = None
    while wait is None:
        wait = limits.take("k", per_minute, start)
    assert 0 < wait <= 60.0
    assert limits.take("k", per_minute, start + wait) is None


def test_a_clock_that_jumps_back_gives_nothing_away() -> None:
    limits = RateLimits()
    assert limits.take("k", 1, 100.0) is None
    assert limits.take("k", 1, 10.0) is not None
    assert limits.take("k", 1, 101.0) is not None


def test_a_changed_rate_counts_at_once() -> None:
    limits = RateLimits()
    assert limits.take("k", 1, 0.0) is None
    assert limits.take("k", 1, 0.0) is not None
    assert limits.take("k", 2, 0.0) is None


def test_the_table_is_bounded_and_forgets_who_asked_longest_ago() -> None:
    limits = RateLimits(max_keys=2)
    for key in ("a", "b", "a", "c"):
        limits.take(key, 2, 0.0)
    assert len(limits) == 2
    assert limits.take("a", 2, 0.0) is not None


def test_sessions_are_counted_a_key_and_given_back() -> None:
    quotas = SessionQuotas()
    assert quotas.take("a", 1)
    assert not quotas.take("a", 1)
    assert quotas.take("b", 1)
    quotas.give_back("a")
    assert quotas.take("a", 1)
    assert all(quotas.take("free", None) for _ in range(100))
