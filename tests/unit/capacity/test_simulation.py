"""Tests of the simulated host: an idle one adds nothing, a loaded one queues, the same seed repeats."""

from dataclasses import replace

import numpy as np
import pytest

from tests.fakes.capacity_shapes import CONVERSATION, EXACT, SPEEDS, TUNING, TURN
from voicectl.capacity.conversation import Conversation, Pause, Tuning
from voicectl.capacity.simulation import Load, simulate

ONE = Conversation("one", (TURN,), think_s=6.0)


def first_sound_s(speeds: object = EXACT) -> float:
    """Return when the first sound exists after the last word, on an idle host, by adding up the stages."""
    decode = sum(EXACT.decode(1, 300) for _ in range(TURN.first_clause_tokens - 1))
    voice = EXACT.front(TURN.clauses_s[0]) + EXACT.chunk(TUNING.first_chunk_s)
    heard = max(EXACT.stt(1000, TURN.speech_s), 0.0)
    return TUNING.hesitation_s + EXACT.hearing_s + heard + EXACT.prefill(TURN.prompt_tokens, 300) + decode + voice


def test_one_caller_waits_for_the_sum_of_the_stages() -> None:
    outcome = simulate(EXACT, replace(ONE, turn_tokens=50, turns_behind=6.0), TUNING, Load(1, turns_a_call=4), 1)
    expected = max(TURN.end_pause_s, first_sound_s()) + EXACT.sending_s
    assert outcome.v2v_s() == pytest.approx(expected, abs=0.035)


def test_conversations_that_wait_slow_the_others_down_only_while_they_lie_in_the_cache() -> None:
    long = replace(ONE, turn_tokens=100, turns_behind=10.0)
    load = Load(2, turns_a_call=4, stagger_s=7.0)

    def median_s(tuning: Tuning) -> float:
        return float(np.median(simulate(EXACT, long, tuning, load, 1).v2v_s()))

    parked, held = median_s(replace(TUNING, idle_tokens=0)), median_s(replace(TUNING, idle_tokens=None))
    added_s = (TURN.first_clause_tokens - 1) * (EXACT.decode(1, 2000) - EXACT.decode(1, 1000))
    added_s += EXACT.prefill(TURN.prompt_tokens, 2000) - EXACT.prefill(TURN.prompt_tokens, 1000)
    assert held - parked == pytest.approx(added_s, abs=0.002)


def test_a_reply_waits_for_the_end_of_the_pause() -> None:
    patient = replace(ONE, turns=(replace(TURN, end_pause_s=1.5),))
    outcome = simulate(EXACT, patient, TUNING, Load(1, turns_a_call=4), 1)
    assert outcome.v2v_s() == pytest.approx(1.5 + EXACT.sending_s, abs=0.005)


def test_latency_grows_with_the_load() -> None:
    p95 = [
        float(np.percentile(simulate(SPEEDS, CONVERSATION, TUNING, Load(num, turns_a_call=8), 1).v2v_s(), 95))
        for num in (1, 12, 28)
    ]
    assert p95[0] < p95[1] < p95[2]


def test_the_same_seed_gives_the_same_turns() -> None:
    first, second = (simulate(SPEEDS, CONVERSATION, TUNING, Load(6, turns_a_call=4), 7) for _ in range(2))
    assert first.turns == second.turns
    assert first.turns != simulate(SPEEDS, CONVERSATION, TUNING, Load(6, turns_a_call=4), 8).turns


def test_use_of_the_cores_is_the_work_of_the_turns() -> None:
    outcome = simulate(EXACT, replace(ONE, think_s=3.0), TUNING, Load(4, turns_a_call=10), 1)
    assert 0.1 < outcome.busy["cpu"] < 0.6
    assert outcome.busy["gpu"] == 0.0


def test_work_on_a_card_leaves_the_cores_alone() -> None:
    on_card = replace(EXACT, places={"stt": "gpu", "llm": "gpu"})
    there = simulate(on_card, ONE, TUNING, Load(4, turns_a_call=6), 1)
    here = simulate(EXACT, ONE, TUNING, Load(4, turns_a_call=6), 1)
    assert there.busy["gpu"] > 0.05
    assert there.busy["cpu"] < here.busy["cpu"]


def test_pauses_inside_a_turn_cost_work() -> None:
    hesitant = replace(ONE, turns=(replace(TURN, pauses=(Pause(0.8, 0.4), Pause(1.8, 0.4))),))
    busy = [simulate(EXACT, kind, TUNING, Load(4, turns_a_call=6), 1).busy["cpu"] for kind in (ONE, hesitant)]
    assert busy[1] > 1.1 * busy[0]


def test_a_second_look_delays_the_answer() -> None:
    unclear = replace(ONE, turns=(replace(TURN, second_look=True),))
    clear_s, unclear_s = (
        float(np.median(simulate(EXACT, kind, TUNING, Load(1, turns_a_call=4), 1).v2v_s())) for kind in (ONE, unclear)
    )
    assert unclear_s > clear_s + 0.05


def test_an_overloaded_host_drops_partials_and_shortens_replies() -> None:
    slow = replace(SPEEDS, stt_window_s=0.3)
    assert simulate(slow, CONVERSATION, TUNING, Load(20, turns_a_call=5), 1).ladder_level > 0
    calm = replace(TUNING, overload=False)
    assert simulate(slow, CONVERSATION, calm, Load(20, turns_a_call=5), 1).ladder_level == 0
