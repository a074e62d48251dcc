"""Sounds that no voice makes: the tones of keys, and noise at the level that was asked for."""

import numpy as np
import pytest

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.workload.sounds import active_rms, dtmf, faded, noise, under


def voice(pitch_hz: float = 200.0) -> np.ndarray:
    at = np.arange(RATE_HZ) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * pitch_hz * at) * (at % 0.5 < 0.25)).astype(np.float32)


@pytest.mark.parametrize(("key", "tones"), [("1", (697, 1209)), ("#", (941, 1477)), ("D", (941, 1633))])
def test_key_sounds_as_its_two_tones(key: str, tones: tuple[int, int]) -> None:
    spectrum = np.abs(np.fft.rfft(dtmf(key)))
    loudest = sorted(round(bin_ * 10) for bin_ in np.argsort(spectrum)[-2:])
    assert loudest == pytest.approx(tones, abs=10)


def test_keys_are_apart() -> None:
    assert dtmf("12").size == round(0.28 * RATE_HZ)


@pytest.mark.parametrize("kind", ["white", "babble"])
def test_noise_is_the_same_for_a_seed_and_has_unit_power(kind: str) -> None:
    made = noise(kind, 48_000, [voice(), voice(310)], (1, 2))
    assert np.array_equal(made, noise(kind, 48_000, [voice(), voice(310)], (1, 2)))
    assert not np.array_equal(made, noise(kind, 48_000, [voice(), voice(310)], (1, 3)))
    assert np.sqrt(np.mean(made**2)) == pytest.approx(1.0, rel=1e-3)


def test_active_level_leaves_pauses_out() -> None:
    assert active_rms(voice()) == pytest.approx(0.3 / np.sqrt(2), rel=0.03)
    assert active_rms(np.zeros(1000, dtype=np.float32)) == 0.0


def test_noise_lies_under_the_words_at_its_level() -> None:
    made = noise("white", RATE_HZ, [], (1, 1))
    mixed = under(voice(), made, 0.02)
    assert np.std(mixed - voice()) == pytest.approx(0.02, rel=0.05)
    assert np.abs(under(np.ones(RATE_HZ, dtype=np.float32), made, 0.5)).max() <= 1.0


def test_burst_begins_and_ends_silently() -> None:
    burst = faded(np.ones(4_800, dtype=np.float32))
    assert burst[0] == burst[-1] == 0.0
    assert burst[2_400] == 1.0
