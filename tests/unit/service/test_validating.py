"""Tests of validation: what is predicted beside what a load runner gives, and the calls that are held."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.capacity_shapes import CONVERSATION, SPEEDS, TUNING
from tests.fakes.run_records import call, record, turn
from voicectl.capacity import prediction
from voicectl.capacity.prediction import Host, Slo
from voicectl.core.audio import MODEL_RATE_HZ
from voicectl.core.errors import ConfigError, EngineError
from voicectl.service.validating import Held, crossing, held_of, lasting, other_side, validate, workload_of

HOST = Host(SPEEDS, CONVERSATION, TUNING, model_error=0.1)


@pytest.fixture(autouse=True)
def _few_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "TURNS", 30)
    monkeypatch.setattr(prediction, "LEAST_TURNS_A_CALL", 2)
    monkeypatch.setattr(prediction, "REPLICATES", 2)


async def test_a_host_that_behaves_as_predicted_is_found_to() -> None:
    async def hold(num_calls: int, seconds: float) -> Held:
        return Held(tuple(HOST.v2v_s(num_calls, seed=9).tolist()), 0, 0.001)

    found = await validate(HOST, Slo(95, 0.8), hold, seconds=1.0)
    assert len(found.levels) == 3
    assert all(level.inside for level in found.levels)


async def test_a_slower_host_is_found_outside_and_its_turns_without_answer_count() -> None:
    async def hold(num_calls: int, seconds: float) -> Held:
        return Held(tuple((3 * HOST.v2v_s(num_calls, seed=9)).tolist()), 2, 0.001)

    found = await validate(HOST, Slo(95, 0.8), hold, seconds=1.0)
    assert not any(level.inside for level in found.levels)
    assert found.levels[0].num_turns > found.levels[0].unanswered == 2


async def test_a_promise_that_one_call_breaks_and_a_load_without_answers_are_errors() -> None:
    async def hold(num_calls: int, seconds: float) -> Held:
        return Held((), 3, 0.0)

    with pytest.raises(ConfigError, match="cannot be kept"):
        await validate(HOST, Slo(95, 0.1), hold, seconds=1.0)
    with pytest.raises(EngineError, match="none of the turns"):
        await validate(HOST, Slo(95, 0.8), hold, seconds=1.0)


def test_the_load_at_the_limit_lies_between_its_neighbours_on_a_line_through_the_logarithms() -> None:
    calls = [4, 8, 12]
    assert crossing(calls, [float(np.exp(0.1 * num)) for num in calls], float(np.exp(1.0))) == pytest.approx(10.0)
    # A steep last load says nothing of where the first two cross.
    assert crossing(calls, [1.0, 4.0, 60.0], 2.0) == pytest.approx(6.0)
    assert crossing(calls, [1.0, 1.0, 1.0], 2.0) is None
    assert crossing([4], [1.0], 2.0) is None


def test_beyond_the_loads_the_line_goes_on_and_never_below_no_call() -> None:
    assert crossing([4, 8], [1.0, 2.0], 4.0) == pytest.approx(12.0)
    assert crossing([4, 8], [2.0, 4.0], 1.0) == pytest.approx(0.0)
    assert crossing([4, 8], [2.0, 3.0], 0.01) == 0.0


def test_a_load_that_chance_made_faster_than_a_smaller_one_is_pooled_with_it() -> None:
    pooled = float(np.sqrt(1.2 * 0.9))
    assert crossing([4, 6, 10], [1.2, 0.9, 4 * pooled], 2 * pooled) == pytest.approx(7.5)


@pytest.mark.parametrize(
    ("p95_s", "next_load"),
    [
        ({6: 0.5, 8: 0.7, 10: 1.2}, None),
        ({6: 1.2, 8: 2.0, 10: 3.0}, 5),
        ({6: 9.0, 8: 9.1, 10: 9.2}, 3),
        ({6: 0.5, 8: 0.6, 10: 0.8}, 12),
        ({6: 0.5, 8: 0.5, 10: 0.5}, 16),
        ({1: 2.0, 2: 3.0}, None),
    ],
)
def test_a_load_on_the_other_side_of_the_limit_is_looked_for_near_the_line(
    p95_s: dict[int, float], next_load: int | None
) -> None:
    assert other_side(p95_s, 1.0) == next_load


async def test_loads_that_all_break_the_promise_are_followed_by_a_smaller_one() -> None:
    asked = []

    async def hold(num_calls: int, seconds: float) -> Held:
        asked.append(num_calls)
        return Held(tuple((3 * HOST.v2v_s(num_calls, seed=9)).tolist()), 0, 0.05)

    found = await validate(HOST, Slo(95, 0.8), hold, seconds=1.0)
    assert len(asked) == len(found.levels) == 4
    assert asked[3] < asked[0] == found.levels[1].calls


def test_turns_count_from_the_first_cycle_to_the_end_of_the_load() -> None:
    instants = ((9.9, 0.1), (10.0, 0.5), (12.0, None), (14.9, 0.7), (15.0, 0.9))
    turns = [turn(number, at, v2v_s) for number, (at, v2v_s) in enumerate(instants)]
    held = held_of(record([call(0, 0.0, turns)]), 10.0, 15.0)
    assert (held.v2v_s, held.unanswered) == ((0.5, 0.7), 1)


def test_conversations_outlast_the_load() -> None:
    voice = np.full(MODEL_RATE_HZ * 2, 0.3, dtype=np.float32)
    workload = workload_of([voice, voice], replace(CONVERSATION, think_s=3.0))
    longer = lasting(workload, 100.0)
    assert all(len(one.turns) == 20 for one in longer.conversations)
    assert longer.digest != workload.digest


def test_calls_say_all_sentences_each_beginning_with_another() -> None:
    voices = [np.concatenate([np.zeros(800), np.full(8000, 0.3), np.zeros(800)]).astype(np.float32) for _ in range(3)]
    workload = workload_of(voices, replace(CONVERSATION, think_s=2.0))
    assert len(workload.conversations) == 3
    assert {one.turns[0].sound for one in workload.conversations} == {0, 1, 2}
    assert all(sound.last_voiced_s is not None for sound in workload.sounds)
    assert workload.digest.startswith("sha256:")
