"""Outer silence is trimmed the same however the samples arrive."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voicectl.core.audio import Samples
from voicectl.engine.tts.silence import LEAD_S, SilenceTrimmer

RATE = 1000
WINDOW = 5


def sound(*runs: tuple[float, int]) -> Samples:
    return np.concatenate([np.full(count, level, dtype=np.float32) for level, count in runs])


def trimmed(pieces: list[Samples], *, tail_s: float = 0.1, at_least: int = 0) -> tuple[Samples, SilenceTrimmer]:
    trimmer = SilenceTrimmer(RATE, tail_s=tail_s)
    parts = [trimmer.push(piece) for piece in pieces]
    return np.concatenate([*parts, trimmer.finish(at_least=at_least)]), trimmer


def test_lead_and_tail_are_cut_and_the_pause_inside_stays() -> None:
    samples = sound((0.0, 200), (0.3, 100), (0.0, 400), (0.3, 100), (0.0, 300))
    out, trimmer = trimmed([samples])
    lead = round(LEAD_S * RATE)
    assert trimmer.num_dropped == 200 - lead
    assert len(out) == lead + 100 + 400 + 100 + 100
    assert np.array_equal(out, samples[200 - lead : 900])


def test_a_short_tail_is_kept_whole() -> None:
    out, _ = trimmed([sound((0.3, 100), (0.0, 40))])
    assert len(out) == 140


def test_the_end_of_a_word_is_never_cut() -> None:
    samples = sound((0.3, 100), (0.0, 300))
    out, _ = trimmed([samples], at_least=250)
    assert len(out) == 250


def test_silence_alone_passes_at_most_the_lead() -> None:
    out, _ = trimmed([sound((0.0, 100)), sound((0.0, 100))], at_least=1000)
    assert len(out) == round(LEAD_S * RATE)


def test_samples_are_passed_on_as_soon_as_they_are_sure() -> None:
    trimmer = SilenceTrimmer(RATE, tail_s=0.1)
    assert len(trimmer.push(sound((0.3, 100), (0.0, 200)))) == 200
    assert len(trimmer.push(sound((0.0, 50)))) == 0
    assert len(trimmer.push(sound((0.3, 10)))) == 160


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.3]), st.integers(1, 60)), min_size=1, max_size=12),
    st.lists(st.integers(1, 40), max_size=20),
)
def test_the_result_does_not_depend_on_the_chunks(runs: list[tuple[float, int]], cuts: list[int]) -> None:
    """Runs and cuts are whole windows, so that the level of a window is the same in both."""
    samples = sound(*[(level, count * WINDOW) for level, count in runs])
    edges = np.minimum(np.cumsum([cut * WINDOW for cut in cuts], dtype=int), len(samples))
    whole, _ = trimmed([samples])
    pieces, trimmer = trimmed(list(np.split(samples, edges)))
    assert np.array_equal(whole, pieces)
    assert trimmer.num_passed == len(pieces)
    assert np.array_equal(samples[trimmer.num_dropped : trimmer.num_dropped + len(pieces)], pieces)
