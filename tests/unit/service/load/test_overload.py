"""The ladder under loads that rise and fall, on a clock of numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.core.config import load_profile
from voicectl.core.sections.resilience import Overload
from voicectl.engine.stageload import StageLoad
from voicectl.service.load.overload import (
    ALL_STEPS,
    Ladder,
    LoadSample,
    OverloadWatch,
    Stance,
    pressure_of,
    stance_of,
    steps_of,
)

SETTINGS = Overload()


def load(ratio: float, *, live: int = 4) -> LoadSample:
    """Return a load whose language model is at this part of its threshold."""
    answered = StageLoad(open_requests=1, p50_s=ratio * SETTINGS.llm_s, p90_s=ratio * SETTINGS.llm_s, num_recent=10)
    return LoadSample({"llm": answered}, live_calls=live)


def run(ladder: Ladder, ratios: list[float], *, start_at: float = 0.0) -> list[Stance]:
    """Return the changes of stance, at four looks a second."""
    changes = [ladder.look(load(ratios[0]), start_at)]
    for number, ratio in enumerate(ratios[1:], 1):
        stance = ladder.look(load(ratio), start_at + number * 0.25)
        if stance != changes[-1]:
            changes.append(stance)
    return changes


def test_steps_are_taken_in_order_and_given_back_in_reverse() -> None:
    ladder = Ladder(SETTINGS)
    up = run(ladder, [1.5] * 40)
    assert [stance.measures.names for stance in up] == [ALL_STEPS[:count] for count in range(1, 7)]
    assert [stance.door for stance in up] == ["open"] * 4 + ["queue", "closed"]
    assert {stance.measures.reason for stance in up} == {"llm"}
    down = run(ladder, [0.1] * 200, start_at=10.0)
    assert [stance.measures.level for stance in down] == [6, 5, 4, 3, 2, 1, 0]
    assert down[-2].measures.names == ("rarer_partials",)
    assert down[-2].measures.partials and down[-2].measures.partial_interval_factor > 1
    assert down[-1] == Stance()


def test_each_step_gives_what_it_says() -> None:
    def measures(count: int) -> Stance:
        return stance_of(ALL_STEPS[:count], SETTINGS, falling=False, reason="stt")

    assert measures(0) == Stance()
    assert not measures(1).measures.partials
    assert measures(2).measures.partial_interval_factor == SETTINGS.partial_interval_factor
    assert measures(3).measures.reply_tokens_factor == SETTINGS.reply_tokens_factor
    assert measures(4).measures.smaller_model
    assert not measures(3).measures.smaller_model
    assert measures(4).door == "open"


def test_load_between_the_thresholds_changes_nothing() -> None:
    ladder = Ladder(SETTINGS)
    run(ladder, [1.2] * 9)
    level = ladder.level
    assert level > 0
    run(ladder, [0.8] * 400, start_at=3.0)
    assert ladder.level == level


def test_short_peak_costs_one_step() -> None:
    ladder = Ladder(SETTINGS)
    assert [stance.measures.level for stance in run(ladder, [3.0, 3.0, *[0.2] * 40])] == [1, 0]


def test_load_that_returns_with_every_step_given_back_makes_recovery_slower() -> None:
    """A load that one step cures, and that comes back without it, must not make the appliance flap."""
    ladder = Ladder(SETTINGS)
    changes, level = 0, 0
    for number in range(4 * 300):
        ladder.look(load(1.2 if ladder.level == 0 else 0.3), number * 0.25)
        changes += ladder.level != level
        level = ladder.level
    assert changes < 2 * 300 / (SETTINGS.recover_s * 4)


def test_without_calls_nobody_is_kept_out() -> None:
    ladder = Ladder(SETTINGS)
    for number in range(100):
        stance = ladder.look(load(5.0, live=0), number * 0.25)
    assert stance.door == "open"
    assert stance.measures.level == 4


@pytest.mark.parametrize(
    ("sample", "ratio", "source"),
    [
        (LoadSample({"tts": StageLoad(oldest_wait_s=2.0)}), 2.0, "tts"),
        (LoadSample({"stt": StageLoad(p50_s=0.4, p90_s=9.0, num_recent=4)}), 0.5, "stt"),
        (LoadSample({"stt": StageLoad(p50_s=0.4, p90_s=1.6, num_recent=5)}), 2.0, "stt"),
        (LoadSample({"turn": StageLoad(open_requests=100)}), 2.0, "turn"),
        (LoadSample({"turn": StageLoad()}, loop_lag_ms=150.0), 3.0, "gateway"),
    ],
)
def test_pressure_is_the_highest_ratio(sample: LoadSample, ratio: float, source: str) -> None:
    pressure = pressure_of(sample, SETTINGS)
    assert pressure.ratio == pytest.approx(ratio)
    assert pressure.source == source


@given(st.lists(st.floats(0, 4), min_size=1, max_size=200))
def test_level_moves_one_step_at_a_time_and_not_before_it_settled(ratios: list[float]) -> None:
    ladder, before, changed_at = Ladder(SETTINGS), 0, -100.0
    for number, ratio in enumerate(ratios):
        now = number * 0.25
        ladder.look(load(ratio), now)
        assert abs(ladder.level - before) <= 1
        if ladder.level > before:
            assert ratio >= 1
            assert now - changed_at >= SETTINGS.settle_s
        if ladder.level < before:
            assert ratio < SETTINGS.low_ratio
            assert now - changed_at >= SETTINGS.recover_s
        if ladder.level != before:
            changed_at = now
        before = ladder.level


def test_smaller_model_is_a_step_only_where_one_is_named() -> None:
    profile = load_profile("cpu", environment={})
    assert "smaller_model" not in steps_of(profile)
    small = profile.workers[0].model_copy(update={"name": "small", "fallback": True, "models": {"stt": "other"}})
    assert steps_of(profile.model_copy(update={"workers": (*profile.workers, small)})) == ALL_STEPS


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


def test_watch_tells_of_changes_only() -> None:
    told: list[Stance] = []
    clock, ratios = Clock(), [0.2, 1.5, 1.5, 1.5, 1.5, 1.5, 0.2]
    sampled = iter(ratios)
    watch = OverloadWatch(load_profile("cpu", environment={}), lambda _: load(next(sampled)), told.append, clock)
    for _ in ratios:
        watch.look(0.0)
        clock.time += 0.25
    assert [stance.measures.level for stance in told] == [1, 2]
    assert watch.stance == told[-1]
