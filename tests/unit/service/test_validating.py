"""Tests of validation: what is predicted beside what a load runner gives, and the calls that are held."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.capacity_shapes import CONVERSATION, SPEEDS, TUNING
from voicectl.capacity import prediction
from voicectl.capacity.prediction import Host, Slo
from voicectl.core.errors import ConfigError, EngineError
from voicectl.service.validating import Held, crossing, validate, workload_of

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


def test_the_load_at_the_limit_lies_on_the_line_through_the_logarithms() -> None:
    calls = [4, 8, 12]
    assert crossing(calls, [float(np.exp(0.1 * num)) for num in calls], float(np.exp(1.0))) == pytest.approx(10.0)
    assert crossing(calls, [1.0, 1.0, 1.0], 2.0) is None
    assert crossing([4], [1.0], 2.0) is None


def test_calls_say_all_sentences_each_beginning_with_another() -> None:
    voices = [np.concatenate([np.zeros(800), np.full(8000, 0.3), np.zeros(800)]).astype(np.float32) for _ in range(3)]
    workload = workload_of(voices, replace(CONVERSATION, think_s=2.0))
    assert len(workload.conversations) == 3
    assert {one.turns[0].sound for one in workload.conversations} == {0, 1, 2}
    assert all(sound.last_voiced_s is not None for sound in workload.sounds)
    assert workload.digest.startswith("sha256:")
