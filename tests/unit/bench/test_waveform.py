"""Where sound begins and ends, to the sample, whatever surrounds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.bench.waveform import AUDIBLE, audible_span, threshold

RATE = 24_000
QUARTER_PERIOD_S = 1 / 400 / 4


def tone(length_s: float, level: float = 0.3, hz: float = 400) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(length_s * RATE)) / RATE)).astype(np.float32)


def between(before_s: float, sound: np.ndarray, after_s: float) -> np.ndarray:
    zeros = [np.zeros(round(s * RATE), dtype=np.float32) for s in (before_s, after_s)]
    return np.concatenate([zeros[0], sound, zeros[1]])


@settings(max_examples=40, deadline=None)
@given(
    before_s=st.floats(0.1, 1.5),
    length_s=st.floats(0.05, 1.0),
    after_s=st.floats(0.1, 1.5),
    level=st.floats(0.05, 0.9),
)
def test_tone_in_silence_is_found_to_a_quarter_period(
    before_s: float, length_s: float, after_s: float, level: float
) -> None:
    span = audible_span(between(before_s, tone(length_s, level), after_s), RATE)
    assert span is not None
    assert span.first_s == pytest.approx(before_s, abs=QUARTER_PERIOD_S)
    assert span.last_s == pytest.approx(before_s + length_s, abs=2 * QUARTER_PERIOD_S)


@settings(max_examples=25, deadline=None)
@given(noise=st.floats(0.0, 0.02), seed=st.integers(0, 1000))
def test_constant_noise_does_not_move_the_ends(noise: float, seed: int) -> None:
    clean = between(0.7, tone(0.6, 0.4), 0.9)
    noisy = clean + noise * np.random.default_rng(seed).standard_normal(clean.size).astype(np.float32)
    span = audible_span(noisy, RATE)
    assert span is not None
    assert span.first_s == pytest.approx(0.7, abs=0.001)
    assert span.last_s == pytest.approx(1.3, abs=0.001)


@settings(max_examples=25, deadline=None)
@given(at_s=st.floats(0.0, 0.4), length=st.integers(1, 40))
def test_click_is_no_sound(at_s: float, length: int) -> None:
    samples = between(0.6, tone(0.5), 0.2)
    samples[round(at_s * RATE) : round(at_s * RATE) + length] = 0.9
    span = audible_span(samples, RATE)
    assert span is not None
    assert span.first_s == pytest.approx(0.6, abs=QUARTER_PERIOD_S)


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(RATE), np.full(RATE, 299 / 32768)])
def test_silence_and_what_a_quiet_line_hides_are_no_sound(samples: np.ndarray) -> None:
    assert audible_span(samples.astype(np.float32), RATE) is None


def test_steady_sound_without_any_pause_is_audible_from_its_start() -> None:
    span = audible_span(tone(1.0), RATE)
    assert span is not None
    assert span.first_s < 0.002
    assert span.last_s > 0.997


def test_pauses_inside_do_not_end_the_sound() -> None:
    span = audible_span(np.concatenate([tone(0.3), np.zeros(RATE, dtype=np.float32), tone(0.3)]), RATE)
    assert span is not None
    assert span.last_s == pytest.approx(1.6, abs=0.002)


def test_threshold_of_a_clean_recording_is_the_audible_level() -> None:
    assert threshold(between(0.5, tone(0.5), 0.5), RATE) == AUDIBLE


def test_recording_shorter_than_a_window_is_measured() -> None:
    span = audible_span(tone(0.01), RATE)
    assert span is not None
