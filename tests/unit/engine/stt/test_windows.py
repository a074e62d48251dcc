import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.engine.stt.windows import MOST_TOKENS, choose_window, pieces, resume_at, token_limit

RATE = 16_000
LADDER = (1000, 1500, 2000, 3000)


@pytest.mark.parametrize(
    ("seconds", "window"), [(0.1, 1000), (9.0, 1000), (9.01, 1500), (14.0, 1500), (19.0, 2000), (19.5, 3000)]
)
def test_the_shortest_window_with_a_second_of_silence_is_chosen(seconds: float, window: int) -> None:
    assert choose_window(int(seconds * RATE), LADDER) == window


def test_thirty_seconds_fill_the_longest_window_without_a_margin() -> None:
    assert choose_window(30 * RATE, LADDER) == 3000


def test_a_ladder_without_the_longest_window_still_ends_at_it() -> None:
    assert choose_window(25 * RATE, (1000,)) == 3000


@pytest.mark.parametrize(("seconds", "tokens"), [(0, 18), (1, 25), (10, 88), (60, MOST_TOKENS)])
def test_the_token_limit_grows_with_the_audio_up_to_whispers_own(seconds: int, tokens: int) -> None:
    assert token_limit(seconds * RATE) == tokens


def test_thirty_seconds_stay_whole() -> None:
    samples = np.ones(30 * RATE, dtype=np.float32)
    assert [len(piece) for piece in pieces(samples)] == [30 * RATE]


def test_long_audio_is_cut_in_the_middle_of_a_pause() -> None:
    samples = np.ones(40 * RATE, dtype=np.float32)
    samples[24 * RATE : 25 * RATE] = 0.0
    first, second = pieces(samples)
    assert 24 * RATE <= len(first) <= 25 * RATE
    assert len(first) + len(second) == 40 * RATE


@given(st.integers(min_value=0, max_value=200 * RATE))
def test_pieces_lose_nothing_and_fit(num_samples: int) -> None:
    lengths = [len(piece) for piece in pieces(np.zeros(num_samples, dtype=np.float32))]
    assert sum(lengths) == num_samples
    assert max(lengths) <= 30 * RATE
    assert all(length >= 19 * RATE for length in lengths[:-1])


@pytest.mark.parametrize(
    ("stopped_at_s", "num_samples", "sample"),
    [
        (None, 20 * RATE, None),
        (12.0, 20 * RATE, 12 * RATE),
        (19.5, 20 * RATE, None),
        (25.0, 20 * RATE, None),
        (0.0, 20 * RATE, None),
    ],
)
def test_reading_resumes_only_where_enough_was_heard_and_enough_is_left(
    stopped_at_s: float | None, num_samples: int, sample: int | None
) -> None:
    assert resume_at(stopped_at_s, num_samples) == sample
