import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicectl.bench.statistics.intervals import Samples
from voicectl.bench.statistics.proportions import proportion
from voicectl.bench.statistics.thresholds import SloError, decide, parse, parse_all


def samples(values: np.ndarray) -> Samples:
    return Samples(values, values, np.arange(values.size), np.arange(values.size, dtype=np.float64))


@pytest.mark.parametrize(
    ("text", "metric", "share", "bound"),
    [
        ("v2v_p95<800ms", "v2v", 0.95, 0.8),
        (" eou_to_first_audio_p50 <= 0.5s ", "eou_to_first_audio", 0.5, 0.5),
        ("barge_in_stop_p95<200ms", "barge_in_stop", 0.95, 0.2),
        ("setup_p99<1s", "setup", 0.99, 1.0),
        ("stage_stt_p95<100ms", "stage_stt", 0.95, 0.1),
        ("v2v_p99.9<2s", "v2v", 0.999, 2.0),
        ("wer<5%", "wer", None, 0.05),
        ("answered>=99%", "answered", None, 0.99),
        ("cut_ins<2%", "cut_ins", None, 0.02),
    ],
)
def test_thresholds_are_read(text: str, metric: str, share: float | None, bound: float) -> None:
    slo = parse(text)
    assert slo.metric == metric
    assert slo.share == pytest.approx(share)
    assert slo.bound == pytest.approx(bound)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("v2v_p95", "form"),
        ("v3v_p95<800ms", "did you mean v2v_p95"),
        ("v2v<800ms", "v2v_p95<800ms"),
        ("v2v_p95<800", "ms or s"),
        ("v2v_p95<5%", "ms or s"),
        ("v2v_p95>800ms", "from above"),
        ("v2v_p00<1s", "percentile"),
        ("v2v_p100<1s", "percentile"),
        ("v2v_p95<0ms", "below 0"),
        ("wer<5ms", "in %"),
        ("wer_p95<5%", "no percentiles"),
        ("answered>=101%", "100 %"),
        ("", "form"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_way_out(text: str, told: str) -> None:
    with pytest.raises(SloError) as caught:
        parse(text)
    assert told in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.exit_code == 2


@settings(max_examples=50, deadline=None)
@given(st.text("v2_p95<>=ms%. 0weranswered", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except SloError as error:
        assert error.hint


def test_commas_separate_thresholds() -> None:
    assert [slo.metric for slo in parse_all(["v2v_p95<1s,wer<5%", "setup_p50<1s"])] == ["v2v", "wer", "setup"]


def test_a_percentile_is_decided_by_the_share_of_turns_that_miss() -> None:
    values = np.full(100, 0.5)
    values[:5] = 2.0
    assert decide(parse("v2v_p95<800ms"), {"v2v": samples(values)}, {}, None).met is True
    values[5] = 2.0
    assert decide(parse("v2v_p95<800ms"), {"v2v": samples(values)}, {}, None).met is False


def test_the_reason_tells_whether_the_bound_of_the_interval_keeps_it_too() -> None:
    rng = np.random.default_rng(1)
    values = 0.5 * np.exp(0.1 * rng.standard_normal(200))
    sure = decide(parse("v2v_p95<2s"), {"v2v": samples(values)}, {}, None)
    close = decide(parse(f"v2v_p95<{np.quantile(values, 0.955) * 1000:.1f}ms"), {"v2v": samples(values)}, {}, None)
    assert "keeps it too" in sure.reason
    assert close.met is True
    assert "does not" in close.reason


def test_missing_evidence_is_not_met() -> None:
    assert decide(parse("v2v_p95<1s"), {"v2v": samples(np.ones(58))}, {}, None).met is None
    assert decide(parse("v2v_p95<1s"), {}, {}, None).met is None
    assert decide(parse("wer<5%"), {}, {}, None).met is None
    assert decide(parse("lost<5%"), {}, {"lost": proportion("lost", 0, 9)}, None).met is None
    assert decide(parse("lost<5%"), {}, {"lost": proportion("lost", 0, 10)}, None).met is True


def test_unanswered_turns_miss_every_bound() -> None:
    values = np.full(100, 0.1)
    values[:6] = np.inf
    assert decide(parse("v2v_p95<10s"), {"v2v": samples(values)}, {}, None).met is False
