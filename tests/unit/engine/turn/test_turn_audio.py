import numpy as np
import pytest

from voicectl.core.clock import MonotonicClock
from voicectl.core.errors import RequestRejected
from voicectl.engine.jobs import JobRun
from voicectl.engine.messages import Body, Scored, ScoreTurn, Transcribe
from voicectl.engine.stage import Job
from voicectl.engine.turn.model import NUM_SAMPLES, normalised
from voicectl.engine.turn.stage import TurnScorer


class Loudness:
    """A turn model that answers with the loudest sample."""

    def complete_probability(self, samples: np.ndarray) -> float:
        return float(np.abs(samples).max())


def run(body: Body) -> JobRun:
    job = Job(request_id=1, priority=0, deadline_at=float("inf"), body=body, emit=lambda _: None)
    return JobRun(job, MonotonicClock())


def test_short_audio_stands_at_the_end_of_eight_seconds() -> None:
    window = normalised(np.full(16_000, 0.5, dtype=np.float32))
    assert window.shape == (NUM_SAMPLES,)
    assert np.all(window[:-16_000] == window[0])
    assert np.all(window[-16_000:] > window[0])


def test_long_audio_keeps_its_last_eight_seconds() -> None:
    ramp = np.arange(2 * NUM_SAMPLES, dtype=np.float32)
    np.testing.assert_allclose(normalised(ramp), normalised(ramp[NUM_SAMPLES:]))


def test_mean_is_zero_and_variance_one() -> None:
    window = normalised(np.random.default_rng(3).standard_normal(50_000).astype(np.float32) * 0.1 + 0.02)
    assert window.dtype == np.float32
    assert window.mean() == pytest.approx(0.0, abs=1e-4)
    assert window.var() == pytest.approx(1.0, abs=1e-3)


def test_silence_stays_finite() -> None:
    assert np.all(normalised(np.zeros(0, dtype=np.float32)) == 0.0)


def test_a_turn_is_scored() -> None:
    body = ScoreTurn(pcm=np.array([0, 16384], dtype="<i2").tobytes())
    assert TurnScorer(Loudness())(run(body)) == Scored(probability=0.5)


@pytest.mark.parametrize("body", [ScoreTurn(pcm=b""), ScoreTurn(pcm=b"abc"), Transcribe(pcm=b"ab")])
def test_a_body_without_whole_samples_or_of_another_stage_is_rejected(body: Body) -> None:
    with pytest.raises(RequestRejected):
        TurnScorer(Loudness())(run(body))
