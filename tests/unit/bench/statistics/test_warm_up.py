import numpy as np

from voicectl.bench.statistics.warm_up import Series, dropped_by_mser, is_steady


def series(values: np.ndarray) -> Series:
    return Series(values, np.arange(values.size) // 4, np.arange(values.size, dtype=np.float64))


def noise(size: int, seed: int = 1) -> np.ndarray:
    return 0.5 * np.exp(0.2 * np.random.default_rng(seed).standard_normal(size))


def test_a_slow_start_is_dropped_and_little_else() -> None:
    values = noise(400)
    values[:50] += 2.0
    assert 50 <= dropped_by_mser(values) <= 90


def test_at_most_half_is_dropped() -> None:
    assert dropped_by_mser(np.linspace(2.0, 1.0, 200)) <= 100


def test_few_values_are_all_kept() -> None:
    assert dropped_by_mser(np.linspace(2.0, 1.0, 39)) == 0


def test_noise_is_steady_and_a_rising_latency_is_not() -> None:
    assert sum(is_steady(series(noise(300, seed))) for seed in range(20)) == 20
    assert not is_steady(series(noise(300) + np.linspace(0, 1, 300)))


def test_constant_latency_is_steady() -> None:
    assert is_steady(series(np.ones(100)))
