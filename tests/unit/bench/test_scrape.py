"""A gateway's own metrics give sums and quantiles, and nothing where nothing was observed."""

import pytest

from voicectl.bench.scrape import MetricsUnreadable, quantile, samples_of, total

PAGE = """# TYPE late_seconds histogram
late_seconds_bucket{le="0.001"} 50
late_seconds_bucket{le="0.005"} 90
late_seconds_bucket{le="0.01"} 99
late_seconds_bucket{le="+Inf"} 100
late_seconds_count 100
late_seconds_sum 0.3
# TYPE live gauge
live{kind="a"} 2
live{kind="b"} 3
"""


def test_values_are_summed_over_their_labels() -> None:
    samples = samples_of(PAGE)
    assert total(samples, "live") == 5
    assert total(samples, "unknown") is None


def test_quantiles_are_interpolated_inside_their_bucket() -> None:
    samples = samples_of(PAGE)
    assert quantile(samples, "late_seconds", 0.5) == pytest.approx(0.001)
    assert quantile(samples, "late_seconds", 0.7) == pytest.approx(0.003)
    assert quantile(samples, "late_seconds", 1.0) == pytest.approx(0.01)


def test_nothing_observed_has_no_quantile() -> None:
    assert quantile(samples_of(PAGE), "unknown", 0.5) is None
    assert quantile(samples_of('x_bucket{le="+Inf"} 0\n'), "x", 0.5) is None


def test_what_is_no_page_of_metrics_is_an_error() -> None:
    with pytest.raises(MetricsUnreadable):
        samples_of("this is { no page")
