"""Punctuality and processor time of a generator: even samples, and the busiest stretch."""

import pytest

from voicectl.bench.generator.lag import CpuWatch, Thinned, merged


def test_few_values_are_all_kept() -> None:
    thinned = Thinned(limit=10)
    for value in range(9):
        thinned.note(value)
    assert thinned.kept == list(range(9))
    assert thinned.stride == 1


def test_many_values_are_thinned_evenly_and_bounded() -> None:
    thinned = Thinned(limit=100)
    for value in range(10_000):
        thinned.note(value)
    assert 50 <= len(thinned.kept) < 100
    steps = {later - earlier for earlier, later in zip(thinned.kept, thinned.kept[1:], strict=False)}
    assert steps == {thinned.stride}
    assert thinned.kept[-1] > 9_000


def test_samples_of_two_processes_are_merged_at_the_wider_stride() -> None:
    assert merged([(1, (0.0, 1.0, 2.0, 3.0)), (2, (10.0, 12.0))]) == (0.0, 2.0, 10.0, 12.0)
    assert merged([]) == ()


class Clock:
    now_s = 0.0
    used_s = 0.0


def watch_of(clock: Clock) -> CpuWatch:
    return CpuWatch(lambda: clock.now_s, lambda: clock.used_s)


def test_busiest_five_seconds_count() -> None:
    clock = Clock()
    watch = watch_of(clock)
    for second in range(30):
        clock.now_s += 1.0
        clock.used_s += 0.8 if 10 <= second < 15 else 0.1
        watch.look()
    assert watch.share() == pytest.approx(0.8)


def test_short_run_counts_as_a_whole() -> None:
    clock = Clock()
    watch = watch_of(clock)
    clock.now_s, clock.used_s = 2.0, 0.5
    assert watch.share() == pytest.approx(0.25)


def test_run_of_no_length_used_nothing() -> None:
    assert watch_of(Clock()).share() == 0.0
