"""A level's figures count every turn that was meant to be taken, and invent none."""

import pytest

from voicectl.bench.load import CallOutcome, TurnOutcome
from voicectl.bench.load_report import level_lines, quantiles, report_level
from voicectl.bench.pacing import Pacing
from voicectl.bench.turns import TurnEvidence, report_turn
from voicectl.bench.usage import Spent


def turn(call: int, number: int, v2v_ms: float | None, *, cut_in: bool = False) -> TurnOutcome:
    silent = report_turn(TurnEvidence(heard="words", replies=(), rate=24_000))
    fields = {name: getattr(silent, name) for name in silent.__slots__}
    report = type(silent)(**{**fields, "v2v_ms": v2v_ms, "cut_in": cut_in})
    return TurnOutcome(call, number, "clip.wav", 1.0, report)


def test_each_turn_is_answered_cut_in_or_unanswered() -> None:
    assert turn(0, 0, 500.0).verdict == "answered"
    assert turn(0, 0, 500.0, cut_in=True).verdict == "answered"
    assert turn(0, 0, None, cut_in=True).verdict == "cut-in"
    assert turn(0, 0, None).verdict == "unanswered"


def test_turns_of_a_lost_call_count_as_unanswered() -> None:
    whole = CallOutcome(0, connected=True, turns=[turn(0, 0, 400.0), turn(0, 1, 600.0)])
    lost = CallOutcome(1, connected=True, failure="the gateway ended the call", turns=[turn(1, 0, 500.0)])
    refused = CallOutcome(2, failure="HTTP 503")
    report = report_level([whole, lost, refused], [Spent("gateway", 0.5, 2**20)], 10.0, 2)
    assert (report.num_turns, report.answered, report.unanswered, report.cut_ins) == (6, 3, 3, 0)
    assert (report.refused, report.lost) == (1, 1)
    assert report.v2v is not None
    assert (report.v2v.count, report.v2v.p50, report.v2v.worst) == (3, 500.0, 600.0)
    assert report.failures == ["call 1: the gateway ended the call", "call 2: HTTP 503"]


def test_pacing_of_all_replies_is_one_distribution_in_milliseconds() -> None:
    calls = [CallOutcome(0, connected=True, pacing=[Pacing((0.001, 0.003), ()), Pacing((0.002,), (0.1,))])]
    report = report_level(calls, [], 1.0, 0)
    assert report.frame_late is not None
    assert report.gaps is not None
    assert (report.frame_late.count, report.frame_late.p50) == (3, pytest.approx(2.0))
    assert (report.gaps.count, report.gaps.worst, report.replies) == (1, pytest.approx(100.0), 2)


def test_without_values_there_is_no_distribution() -> None:
    assert quantiles([]) is None
    report = report_level([], [], 1.0, 6)
    assert report.v2v is None
    assert "| v2v | none |" in list(level_lines(report))


def test_the_interval_holds_the_percentile_and_is_the_same_every_time() -> None:
    values = [float(value) for value in range(100)]
    first, second = quantiles(values), quantiles(values)
    assert first is not None
    assert first == second
    assert first.p95_low <= first.p95 <= first.p95_high
