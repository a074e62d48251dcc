"""Tests of the shared cores."""

import pytest

from voicectl.capacity.cores import Computation, Cores, weight_of


def ends(cores: Cores, works: list[Computation]) -> list[float]:
    """Begin all at 0 and return when each ends."""
    for work in works:
        cores.add(work, 0.0)
    found: dict[int, float] = {}
    while len(found) < len(works):
        instant = cores.next_end()
        for work in cores.pop_ended(instant):
            found[id(work)] = instant
    return [found[id(work)] for work in works]


def test_computations_that_fit_do_not_disturb_each_other() -> None:
    assert ends(Cores(2), [Computation(1.0, 1.0), Computation(0.5, 1.0)]) == pytest.approx([1.0, 0.5])


def test_three_equal_computations_share_two_cores() -> None:
    assert ends(Cores(2), [Computation(1.0, 1.0) for _ in range(3)]) == pytest.approx([1.5] * 3)


def test_what_ends_early_leaves_its_share_to_the_others() -> None:
    # Half a core each until 1.0, when the short one is done.
    assert ends(Cores(1), [Computation(0.5, 1.0), Computation(1.0, 1.0)]) == pytest.approx([1.0, 1.5])


def test_heavier_computations_get_more_and_never_more_than_a_core() -> None:
    slow, fast = Computation(1.0, weight_of(10)), Computation(1.0, weight_of(0))
    slow_end, fast_end = ends(Cores(1), [slow, fast])
    assert fast_end == pytest.approx(1 + weight_of(10), rel=1e-6)
    assert slow_end == pytest.approx(2.0)
    assert ends(Cores(4), [Computation(1.0, 100.0)]) == pytest.approx([1.0])


def test_background_takes_its_cores_first() -> None:
    assert ends(Cores(2, background=1.0), [Computation(1.0, 1.0), Computation(1.0, 1.0)]) == pytest.approx([2.0, 2.0])


def test_all_cores_busy_slow_each_other_down() -> None:
    assert ends(Cores(2, crowd_speed=0.8), [Computation(0.8, 1.0)]) == pytest.approx([0.8])
    assert ends(Cores(2, crowd_speed=0.8), [Computation(0.8, 1.0), Computation(0.8, 1.0)]) == pytest.approx([1.0, 1.0])


def test_a_computation_of_two_threads_proceeds_with_the_share_of_each() -> None:
    # Two threads and one more on two cores: 2/3 of a core each.
    pair, single = Computation(1.0, 1.0, threads=2), Computation(10.0, 1.0)
    pair_end, _ = ends(Cores(2), [pair, single])
    assert pair_end == pytest.approx(3 / 2)


def test_busy_time_is_the_work_that_was_done() -> None:
    cores = Cores(2)
    ends(cores, [Computation(1.0, 1.0), Computation(0.5, 1.0)])
    assert cores.busy_core_s == pytest.approx(1.5)
