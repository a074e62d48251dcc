"""Arrivals: the same seed, the same calls; the rate and the burstiness that were asked for."""

from pathlib import Path

import numpy as np
import pytest

from voicectl.bench.workload.arrivals import drawn_starts, read_trace
from voicectl.core.errors import ConfigError, UsageError


def gaps(starts: tuple[float, ...]) -> np.ndarray:
    return np.diff(np.array(starts))


@pytest.mark.parametrize(("arrivals", "burstiness"), [("poisson", None), ("gamma", 0.25), ("constant", None)])
def test_starts_are_the_same_for_a_seed_ordered_and_inside_the_run(arrivals: str, burstiness: float | None) -> None:
    starts = drawn_starts(arrivals, 60, 100, seed=7, burstiness=burstiness)
    assert starts == drawn_starts(arrivals, 60, 100, seed=7, burstiness=burstiness)
    assert list(starts) == sorted(starts)
    assert 0 <= starts[0] <= starts[-1] < 100


def test_another_seed_draws_other_starts() -> None:
    assert drawn_starts("poisson", 60, 100, seed=1) != drawn_starts("poisson", 60, 100, seed=2)


@pytest.mark.parametrize(
    ("arrivals", "burstiness", "variation"), [("poisson", None, 1.0), ("gamma", 0.25, 2.0), ("gamma", 4.0, 0.5)]
)
def test_gaps_have_the_mean_and_the_variation_of_their_distribution(
    arrivals: str, burstiness: float | None, variation: float
) -> None:
    between = gaps(drawn_starts(arrivals, 600, 2_000, seed=3, burstiness=burstiness))
    assert between.mean() == pytest.approx(0.1, rel=0.05)
    # Shape k has the coefficient of variation 1/√k.
    assert between.std() / between.mean() == pytest.approx(variation, rel=0.05)


def test_constant_arrivals_begin_at_once_and_are_even() -> None:
    assert drawn_starts("constant", 120, 2, seed=1) == (0.0, 0.5, 1.0, 1.5)


@pytest.mark.parametrize(
    ("rate", "duration_s", "told"),
    [(0, 10, "0 calls a minute"), (float("nan"), 10, "nan"), (60, 0, "cannot last"), (1e6, 3600, "more than 100000")],
)
def test_what_cannot_be_drawn_is_a_usage_error(rate: float, duration_s: float, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        drawn_starts("poisson", rate, duration_s, seed=1)


@pytest.mark.parametrize("burstiness", [None, 0.0, -1.0, float("inf")])
def test_gamma_without_a_shape_is_a_usage_error(burstiness: float | None) -> None:
    with pytest.raises(UsageError, match="burstiness"):
        drawn_starts("gamma", 60, 10, seed=1, burstiness=burstiness)


def test_trace_is_sorted_and_may_have_a_heading_and_other_columns(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("start_s,note\n3.5,b\n\n1,a\n99,late\n")
    assert read_trace(path, 60) == (1.0, 3.5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1\nsoon\n", "line 2: 'soon' is no number of seconds"),
        ("1\n-2\n", "line 2: a call cannot start at -2 s"),
        ("1\nnan\n", "line 2: a call cannot start at nan s"),
        ("start_s\n", "holds no start times"),
        ("70\n80\n", "its first call starts at 70 s, the run ends at 60 s"),
    ],
)
def test_trace_that_is_none_is_refused_by_line(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_trace(path, 60)
    assert told in refused.value.message
    assert refused.value.exit_code == 3


def test_missing_trace_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trace(tmp_path / "none.csv")
