"""Options become a plan, or a clear refusal: two loads at once are none."""

from pathlib import Path

import pytest

from voicectl.cli.bench_load import LoadOptions, at_level, level_text, load_plan, parse_duration, parse_share
from voicectl.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("90", 90), ("5m", 300), ("1.5h", 5400), ("250ms", 0.25), (" 2 min ", 120)]
)
def test_duration_has_a_unit_or_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text, "--duration") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5 days", "1e3", "nan", "inf"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is no duration") as refusal:
        parse_duration(text, "--duration")
    assert refusal.value.hint == "for example --duration 60s, 5m or 1h"


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), ("0", 0.0), ("12.5 %", 0.125)])
def test_share_is_percent_or_a_fraction(text: str, share: float) -> None:
    assert parse_share(text, "--tolerance") == pytest.approx(share)


@pytest.mark.parametrize("text", ["5", "100%", "-1%", "some"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no share below 100 %"):
        parse_share(text, "--tolerance")


def test_load_is_six_calls_a_minute_by_chance_unless_said_otherwise() -> None:
    plan = load_plan(LoadOptions())
    assert (plan.arrivals, plan.calls_per_minute, plan.concurrency, plan.duration_s) == ("poisson", 6.0, None, 60.0)


def test_concurrency_is_a_closed_loop() -> None:
    plan = load_plan(LoadOptions(concurrency=4))
    assert (plan.arrivals, plan.calls_per_minute, plan.concurrency) == ("closed", None, 4)


def test_trace_has_no_rate() -> None:
    plan = load_plan(LoadOptions(trace=Path("calls.csv")))
    assert (plan.arrivals, plan.calls_per_minute) == ("trace", None)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (LoadOptions(calls_per_minute=6, concurrency=2), "--calls-per-minute and --concurrency are different loads"),
        (LoadOptions(concurrency=2, trace=Path("x")), "--concurrency and --trace are different loads"),
        (LoadOptions(concurrency=2, arrivals="poisson"), "--arrivals goes with --calls-per-minute"),
        (LoadOptions(burstiness=0.5), "--burstiness goes with --arrivals gamma"),
        (LoadOptions(arrivals="gamma"), "--arrivals gamma needs --burstiness"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options: LoadOptions, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        load_plan(options)


def test_level_of_a_search_is_callers_or_a_rate() -> None:
    closed, opened = load_plan(LoadOptions(concurrency=1)), load_plan(LoadOptions())
    assert at_level(closed, 8.0).concurrency == 8
    assert at_level(opened, 7.5).calls_per_minute == 7.5
    assert (level_text(closed), level_text(closed, 3), level_text(opened)) == (
        "1 call at a time",
        "3 calls at a time",
        "6 calls a minute",
    )
