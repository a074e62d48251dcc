from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.run_records import steady
from voicectl.bench.run_record import RunRecord
from voicectl.bench.statistics.compare import compare


def slowed(run: RunRecord, factor: float, seed: int = 5) -> RunRecord:
    rng = np.random.default_rng(seed)
    return replace(
        run,
        calls=tuple(
            replace(
                each,
                turns=tuple(
                    replace(
                        turn,
                        v2v_s=None
                        if turn.v2v_s is None
                        else turn.v2v_s * factor * np.exp(0.02 * rng.standard_normal()),
                    )
                    for turn in each.turns
                ),
            )
            for each in run.calls
        ),
    )


def test_a_slower_run_is_slower_and_a_faster_one_faster() -> None:
    run = steady()
    slower = compare(run, slowed(run, 1.2))
    assert slower.outcome == "slower"
    assert slower.regressed
    assert slower.paired
    assert slower.ratios[0].ratio == pytest.approx(1.2, rel=0.03)
    assert slower.shift is not None
    assert slower.shift.shift_s == pytest.approx(0.1, rel=0.2)
    assert compare(slowed(run, 1.2), run).outcome == "faster"


def test_a_difference_within_the_tolerance_is_none() -> None:
    run = steady()
    assert compare(run, slowed(run, 1.03)).outcome == "no difference shown"
    assert compare(run, slowed(run, 1.2), tolerance=0.5).outcome == "no difference shown"


def test_pairs_see_what_unpaired_turns_do_not() -> None:
    run = steady(num_calls=20)
    paired = compare(run, slowed(run, 1.1))
    unpaired = compare(run, replace(slowed(run, 1.1), plan=replace(run.plan, seed=2)))
    assert paired.outcome == "slower"
    assert not unpaired.paired
    assert unpaired.outcome == "no difference shown"


def test_two_samples_of_one_system_do_not_differ() -> None:
    pairs = [(steady(num_calls=20, seed=n), steady(num_calls=20, seed=n + 50)) for n in range(12)]
    plans = [(replace(one, plan=replace(one.plan, seed=1)), other) for one, other in pairs]
    outcomes = [compare(one, other, warm_up=0, tolerance=0.0).outcome for one, other in plans]
    # `scripts/check_decisions.py` says how often that goes wrong: in at most 5 of 100.
    assert outcomes.count("no difference shown") >= 10


def test_superiority_and_delta_agree() -> None:
    run = steady()
    shift = compare(run, replace(slowed(run, 3.0), plan=replace(run.plan, seed=2))).shift
    assert shift is not None
    assert shift.superiority > 0.95
    assert shift.cliffs_delta == pytest.approx(2 * shift.superiority - 1)
    assert shift.p_value < 0.001
    assert shift.low_s is not None
    assert shift.shift_s is not None
    assert shift.high_s is not None
    assert shift.low_s < shift.shift_s < shift.high_s


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (steady(digest="other"), "other workloads"),
        (steady(calls_per_minute=20.0), "other loads"),
        (steady(cpu_share=0.9), "run B is INVALID"),
    ],
)
def test_what_does_not_compare_is_not_compared(after: RunRecord, told: str) -> None:
    found = compare(steady(), after)
    assert found.outcome == "not comparable"
    assert not found.regressed
    assert told in found.reason


def test_few_calls_are_not_compared() -> None:
    assert "too few calls" in compare(steady(num_calls=5), steady(num_calls=5)).reason


def test_answers_that_stop_coming_are_slower() -> None:
    run = steady()
    gone = replace(
        run,
        calls=tuple(
            replace(each, turns=tuple(replace(t, v2v_s=None, end="timed-out") if t.turn < 2 else t for t in each.turns))
            for each in run.calls
        ),
    )
    assert compare(run, gone, warm_up=0).outcome == "slower"
