from collections.abc import Sequence

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from voicectl.core.clock import MonotonicClock
from voicectl.engine.jobs import JobRun
from voicectl.engine.messages import Body, Failed, ReplyBody, Scored, ScoreTurn, Transcribe
from voicectl.engine.meter import StageMeter
from voicectl.engine.stage import Job
from voicectl.engine.turn.model import NUM_SAMPLES, normalised
from voicectl.engine.turn.stage import TurnScorer


class Loudness:
    """A turn model that answers with the loudest sample."""

    def complete_probabilities(self, turns: Sequence[np.ndarray]) -> list[float]:
        return [float(np.abs(samples).max()) for samples in turns]


def scored(*bodies: Body) -> list[ReplyBody]:
    replies: list[ReplyBody] = []
    jobs = [Job(number, 0, float("inf"), body, replies.append) for number, body in enumerate(bodies)]
    scorer = TurnScorer(Loudness(), StageMeter(CollectorRegistry(), "turn"))  # type: ignore[arg-type]
    scorer([JobRun(job, MonotonicClock()) for job in jobs])
    return replies


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


def test_turns_are_scored_together() -> None:
    bodies = [ScoreTurn(pcm=np.array([0, peak], dtype="<i2").tobytes()) for peak in (16384, 8192)]
    assert scored(*bodies) == [Scored(probability=0.5), Scored(probability=0.25)]


@pytest.mark.parametrize("body", [ScoreTurn(pcm=b""), ScoreTurn(pcm=b"abc"), Transcribe(pcm=b"ab")])
def test_a_body_without_whole_samples_or_of_another_stage_is_rejected_alone(body: Body) -> None:
    bad, good = scored(body, ScoreTurn(pcm=np.array([0, 16384], dtype="<i2").tobytes()))
    assert isinstance(bad, Failed)
    assert bad.kind == "rejected"
    assert good == Scored(probability=0.5)
