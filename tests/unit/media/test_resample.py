"""The resampler's delay, length, fidelity and state."""

import numpy as np
import pytest

from voicectl.core.audio import Samples
from voicectl.media.resample import Resampler, resample


def tone(hz: float, rate: int, seconds: float = 1.0) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def level_db(samples: Samples) -> float:
    return 20 * float(np.log10(np.sqrt(np.mean(samples**2)) / (0.5 / np.sqrt(2)) + 1e-12))


@pytest.mark.parametrize(("source", "target"), [(24_000, 16_000), (8_000, 16_000), (22_050, 24_000), (48_000, 16_000)])
def test_no_more_than_three_milliseconds_are_held_back(source: int, target: int) -> None:
    resampler = Resampler(source, target)
    given = produced = 0
    for piece in np.array_split(tone(440, source), 50):
        given += piece.size
        produced += resampler.push(piece).size
        assert given / source - produced / target < 0.003


@pytest.mark.parametrize(("source", "target"), [(24_000, 16_000), (8_000, 16_000), (22_050, 24_000), (44_100, 16_000)])
def test_a_tone_keeps_level_phase_and_length(source: int, target: int) -> None:
    result = resample(tone(440, source), source, target)
    assert abs(result.size - target) <= 2
    expected = tone(440, target)
    inner = slice(target // 10, -target // 10)
    assert np.max(np.abs(result[: expected.size][inner] - expected[: result.size][inner])) < 0.01


def test_what_the_target_cannot_hold_does_not_fold_back() -> None:
    assert level_db(resample(tone(10_000, 24_000), 24_000, 16_000)[1000:-1000]) < -80


def test_pieces_of_any_size_give_what_the_whole_gives() -> None:
    samples = np.random.default_rng(7).uniform(-0.5, 0.5, 24_000).astype(np.float32)
    resampler = Resampler(24_000, 16_000)
    cuts = np.array_split(samples, [1, 2, 3, 500, 501, 4_000, 23_999])
    pieces = [resampler.push(piece) for piece in cuts]
    assert np.allclose(np.concatenate([*pieces, resampler.flush()]), resample(samples, 24_000, 16_000), atol=1e-6)


def test_equal_rates_pass_through_untouched() -> None:
    samples = tone(440, 16_000)
    resampler = Resampler(16_000, 16_000)
    assert resampler.push(samples) is samples
    assert resampler.flush().size == 0


def test_after_a_flush_another_stream_begins() -> None:
    resampler = Resampler(8_000, 16_000)
    first = np.concatenate((resampler.push(tone(440, 8_000)), resampler.flush()))
    second = np.concatenate((resampler.push(tone(440, 8_000)), resampler.flush()))
    assert np.array_equal(first, second)


def test_silence_of_no_length_is_no_audio() -> None:
    resampler = Resampler(24_000, 16_000)
    assert resampler.push(np.zeros(0, dtype=np.float32)).size == 0
    assert resampler.flush().size == 0


@pytest.mark.parametrize(("source", "target"), [(0, 16_000), (16_000, -1)])
def test_a_rate_that_is_none_is_refused(source: int, target: int) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Resampler(source, target)
