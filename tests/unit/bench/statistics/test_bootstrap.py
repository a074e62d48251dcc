import numpy as np
import pytest

from voicectl.bench.statistics.bootstrap import clustered_interval, draw, percentiles


def test_each_resample_draws_as_many_clusters_as_there_are_and_repeats_by_seed() -> None:
    drawn = draw(20, 50, seed=3)
    assert (drawn.sum(axis=1) == 20).all()
    assert (drawn == draw(20, 50, seed=3)).all()


def test_percentiles_of_the_whole_sample_are_its_own() -> None:
    values = np.arange(1.0, 101.0)
    found = percentiles(values, np.arange(100) // 10, np.ones((1, 10), dtype=np.int64), (0.5, 0.95))
    assert found[0] == pytest.approx([50.0, 95.0])


def test_clusters_that_differ_make_the_interval_wider() -> None:
    rng = np.random.default_rng(1)
    calls = np.repeat(np.arange(30), 10)
    values = rng.standard_normal(30)[calls] + 0.1 * rng.standard_normal(300)
    own, alone = (clustered_interval(values, clusters, 0.5) for clusters in (calls, np.arange(300)))
    assert own[1] - own[0] > 1.5 * (alone[1] - alone[0])
