"""Tests of Erlang's formula, hosts and bursts, against published tables and closed forms."""

import math

import pytest

from voicectl.capacity.erlang import blocking, burst, hosts_for, lines_for
from voicectl.core.errors import UsageError


@pytest.mark.parametrize(("erlangs", "lines", "share"), [(4.461, 10, 0.01), (12.03, 20, 0.01), (84.06, 100, 0.01)])
def test_blocking_agrees_with_the_published_table(erlangs: float, lines: int, share: float) -> None:
    assert blocking(erlangs, lines) == pytest.approx(share, rel=2e-3)


def test_blocking_agrees_with_its_definition() -> None:
    erlangs, lines = 7.5, 9
    terms = [erlangs**k / math.factorial(k) for k in range(lines + 1)]
    assert blocking(erlangs, lines) == pytest.approx(terms[-1] / sum(terms))


def test_the_fewest_lines_keep_the_target_and_one_less_does_not() -> None:
    lines = lines_for(60.0, 0.01)
    assert blocking(60.0, lines) <= 0.01 < blocking(60.0, lines - 1)


def test_no_calls_need_no_lines() -> None:
    assert lines_for(0.0, 0.01) == 0
    assert blocking(0.0, 0) == 1.0


def test_a_blocking_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="blocking of 0"):
        lines_for(10.0, 0.0)


def test_one_host_more_keeps_the_target_when_one_is_lost() -> None:
    found = hosts_for(60.0, 8, 0.01)
    assert found.hosts == math.ceil(found.lines / 8)
    assert found.hosts_with_loss == found.hosts + 1
    assert found.blocking_after_loss <= 0.01 < found.blocking_without_spare


def test_a_burst_refuses_the_part_that_theory_gives_once_it_has_settled() -> None:
    # Calls of 10 s reach their new equilibrium within the burst; without a queue, that is Erlang B at twice the load.
    found = burst(20.0, 10.0, 30, lasting_s=600.0, waiting=0)
    assert found.refused_share == pytest.approx(blocking(40.0, 30), rel=0.05)
    assert found.offered == pytest.approx(2 * 2.0 * 600, rel=1e-6)


def test_a_burst_that_lines_can_hold_refuses_nobody() -> None:
    found = burst(5.0, 60.0, 40, lasting_s=120.0)
    assert found.full_after_s is None
    assert found.refused < 1e-3
    assert found.recovered_s <= 1


def test_longer_calls_take_longer_to_recover() -> None:
    short, long = (burst(30.0, handle_s, 36, lasting_s=120.0) for handle_s in (60.0, 240.0))
    assert long.recovered_s > short.recovered_s > 0
    assert 0 < short.longest_wait_s <= 5.0
