"""Tests of the fit: it finds what made the observations, through noise and disturbed ones."""

import numpy as np
import pytest

from tests.fakes.capacity_shapes import SPEEDS
from voicectl.capacity.fit import CONTEXT_S, fit_speeds
from voicectl.capacity.observations import Observation
from voicectl.core.errors import ConfigError


def observed(noise: float = 0.0) -> list[Observation]:
    """Return what a host of known speeds would show."""
    rng = np.random.default_rng(3)
    chunk = SPEEDS.chunk_audio_s
    seen = [
        *(
            Observation("stt", (window, speech), SPEEDS.stt(window, speech))
            for window, speech in ((1000, 1.2), (1000, 4.0), (1000, 6.5), (1500, 9.5), (1500, 13.0)) * 3
        ),
        *(Observation("turn", (), SPEEDS.turn_s) for _ in range(6)),
        *(
            Observation("prefill", (steps, num, held), (steps - 1) * SPEEDS.prefill_s + SPEEDS.prefill(num, held))
            for steps, num, held in ((1, 15, 8), (1, 40, 20), (2, 90, 45), (4, 200, 100), (1, 20, 800), (1, 50, 900))
            * 2
        ),
        *(
            Observation("decode", (size, tokens), SPEEDS.decode(size, tokens))
            for size, tokens in ((1, 80), (1, 400), (4, 300), (4, 1500), (8, 600)) * 3
        ),
        *(
            Observation("tts_first", (clause, 0.45), SPEEDS.front(clause) + chunk * (0.45 + CONTEXT_S))
            for clause in (1.0, 2.0, 3.0, 4.0)
        ),
        *(Observation("tts_chunk", (1.39,), chunk * (1.39 + CONTEXT_S)) for _ in range(6)),
    ]
    return [Observation(one.work, one.drivers, one.seconds * float(rng.lognormal(0, noise))) for one in seen]


def test_the_speeds_that_made_the_observations_are_found() -> None:
    found = fit_speeds(observed()).parameters
    for name in (
        "stt_window_s",
        "stt_speech_s",
        "turn_s",
        "prefill_token_s",
        "prefill_context_s",
        "decode_s",
        "decode_reply_s",
        "front_s",
    ):
        assert found[name] == pytest.approx(getattr(SPEEDS, name), rel=1e-3), name
    assert found["chunk_s"] == pytest.approx(CONTEXT_S * found["chunk_audio_s"])


def test_noise_is_reported_and_does_not_bend_the_result() -> None:
    found = fit_speeds(observed(0.1))
    assert found.parameters["decode_s"] == pytest.approx(SPEEDS.decode_s, rel=0.25)
    assert all(0.01 < one.rms < 0.25 for one in found.residuals)
    assert found.spread["stt"] == pytest.approx(0.1, abs=0.06)
    assert found.errors["stt"] == pytest.approx(found.spread["stt"] / 15**0.5)
    assert set(found.errors) == set(found.spread)


def test_one_disturbed_observation_does_not_bend_the_result() -> None:
    seen = observed()
    disturbed = [Observation("turn", (), 10 * SPEEDS.turn_s), *seen]
    assert fit_speeds(disturbed).parameters["turn_s"] == pytest.approx(SPEEDS.turn_s, rel=0.15)


def test_residuals_name_the_range_that_was_seen() -> None:
    ranges = {one.work: one.ranges for one in fit_speeds(observed()).residuals}
    assert ranges["stt"] == {"window_frames": (1000, 1500), "speech_s": (1.2, 13.0)}


def test_no_speed_is_negative() -> None:
    falling = [one for one in observed() if one.work != "stt"]
    falling += [Observation("stt", (1000, speech), 0.2 - 0.01 * speech) for speech in (1.0, 4.0, 8.0)]
    assert min(fit_speeds(falling).parameters.values()) >= 0


def test_work_that_was_not_seen_is_named() -> None:
    with pytest.raises(ConfigError, match=r"tts_chunk \(0\)"):
        fit_speeds([one for one in observed() if one.work != "tts_chunk"])
