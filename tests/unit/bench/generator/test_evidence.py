"""Turns from what was seen: counted from the intended instant, censored where no answer came."""

from dataclasses import replace

import numpy as np
import pytest

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.generator.evidence import SpokenTurn, TurnView, head_of, sample_of, stop_s
from voicectl.bench.turns import Piece, Reply
from voicectl.bench.workload.ready import ReadyTurn, Sound
from voicectl.core.events import StageTimes

SOUND = Sound(b"", first_voiced_s=0.1, last_voiced_s=1.0)
SPEECH = SpokenTurn(3, ReadyTurn("hello", "speech", 0, 1.2, 1.0, reference="hello"), SOUND, 50.0, 10.0)
"""Its last voiced sample is meant for 51.0."""


def tone(length_s: float, lead_in_s: float = 0.0) -> np.ndarray:
    sound = 0.3 * np.sin(2 * np.pi * 500 * (np.arange(round(length_s * RATE_HZ)) + 7) / RATE_HZ)
    return np.concatenate([np.zeros(round(lead_in_s * RATE_HZ)), sound]).astype(np.float32)


def reply(at: float, samples: np.ndarray | None = None, status: str = "completed", created_at: float = 0.0) -> Reply:
    pieces = (Piece(at, at, tone(0.5) if samples is None else samples),)
    return Reply("resp", created_at or at, "Hi.", status, pieces)


def view(*replies: Reply, over_at: float = 55.0, **keys: object) -> TurnView:
    return replace(TurnView(tuple(replies), None, None, over_at), **keys)


def test_answer_is_counted_from_the_intended_instant_to_the_first_audible_sample() -> None:
    sample = sample_of(SPEECH, view(reply(51.3, tone(0.5, lead_in_s=0.2))), origin_at=40.0)
    assert sample.end == "answered"
    assert sample.intended_at == pytest.approx(11.0)
    assert sample.v2v_s == pytest.approx(0.5, abs=0.001)
    assert sample.censored_s is None
    assert (sample.turn, sample.name, sample.kind, sample.reference) == (3, "hello", "speech", "hello")
    assert sample.stages_s["lead_in"] == pytest.approx(0.2, abs=0.001)


def test_no_answer_is_censored_at_the_time_that_was_waited() -> None:
    sample = sample_of(SPEECH, view(over_at=61.0))
    assert (sample.end, sample.v2v_s, sample.censored_s) == ("timed-out", None, pytest.approx(10.0))


def test_answer_of_silence_is_no_answer() -> None:
    silent = reply(51.3, np.zeros(RATE_HZ, dtype=np.float32))
    assert sample_of(SPEECH, view(silent, over_at=61.0)).end == "timed-out"


def test_call_lost_while_waiting_is_censored_where_it_was_lost() -> None:
    sample = sample_of(SPEECH, view(over_at=51.4, call_over=True))
    assert (sample.end, sample.censored_s) == ("call-lost", pytest.approx(0.4))


def test_call_lost_in_the_middle_of_the_words_knows_nothing_of_the_answer() -> None:
    assert sample_of(SPEECH, view(over_at=50.5, call_over=True)).censored_s == 0.0


def test_call_lost_after_the_answer_began_leaves_it_answered() -> None:
    assert sample_of(SPEECH, view(reply(51.3), over_at=51.5, call_over=True)).end == "answered"


def test_reply_before_the_last_voiced_sample_is_a_cut_in_even_if_another_follows() -> None:
    sample = sample_of(SPEECH, view(reply(50.6), reply(51.4)))
    assert sample.end == "cut-in"
    assert sample.v2v_s == pytest.approx(0.4, abs=0.001)
    assert sample_of(SPEECH, view(reply(50.6))).v2v_s is None


def test_answer_to_the_turn_before_that_comes_late_is_no_cut_in() -> None:
    late = replace(SPEECH, after_timeout=True)
    sample = sample_of(late, view(reply(50.6), reply(51.4)))
    assert (sample.end, sample.v2v_s) == ("answered", pytest.approx(0.4, abs=0.001))


@pytest.mark.parametrize(("position_s", "end"), [(9.0, "timed-out"), (11.0, "answered")])
def test_server_that_tells_which_words_it_answers_is_believed(position_s: float, end: str) -> None:
    told = replace(reply(51.4), times=StageTimes(last_voiced_position_s=position_s))
    assert sample_of(SPEECH, view(told, over_at=61.0)).end == end


@pytest.mark.parametrize("kind", ["silence", "dtmf", "noise"])
def test_turn_that_wants_no_answer_says_whether_one_came(kind: str) -> None:
    unwanted = replace(SPEECH, turn=ReadyTurn("x", kind, None, 1.2, 1.0), sound=None)
    assert sample_of(unwanted, view()).end == "not-wanted"
    asked = sample_of(unwanted, view(reply(52.0)))
    assert (asked.end, asked.v2v_s, asked.intended_at) == ("answered-unasked", None, None)


def test_barge_in_counts_until_the_last_audible_sample_of_what_it_interrupted() -> None:
    barge_in = replace(SPEECH, turn=ReadyTurn("stop", "barge-in", 0, 1.2, 1.0, after_s=0.5))
    cut = reply(49.8, tone(0.5), "cancelled")
    sample = sample_of(barge_in, view(reply(51.4), interrupted=cut))
    # Onset at 50.1, the last sound at 50.3.
    assert sample.barge_in_stop_s == pytest.approx(0.2, abs=0.001)
    assert sample.end == "answered"
    assert sample_of(barge_in, view(reply(51.4))).barge_in_stop_s is None
    assert sample_of(SPEECH, view(reply(51.4), interrupted=cut)).barge_in_stop_s is None


def test_reply_that_never_stopped_is_censored_when_the_caller_stops_waiting() -> None:
    barge_in = replace(SPEECH, turn=ReadyTurn("stop", "barge-in", 0, 1.2, 1.0, after_s=0.5))
    endless = replace(reply(49.8, tone(11.1)), status=None)
    sample = sample_of(barge_in, view(interrupted=endless, over_at=61.0))
    # Onset at 50.1; it was heard until 60.9.
    assert (sample.barge_in_stop_s, sample.barge_in_censored_s) == (None, pytest.approx(10.9))
    assert sample.end == "timed-out"
    fell_silent = replace(reply(49.8, tone(0.5)), status=None)
    sample = sample_of(barge_in, view(interrupted=fell_silent, over_at=61.0))
    assert (sample.barge_in_stop_s, sample.barge_in_censored_s) == (pytest.approx(0.2, abs=0.001), None)


def test_reply_that_was_over_before_was_not_interrupted() -> None:
    assert stop_s(reply(49.0, tone(0.5)), 50.0) is None


def test_reply_that_goes_on_counts_to_its_own_end() -> None:
    assert stop_s(reply(49.9, tone(2.0)), 50.0) == pytest.approx(1.9, abs=0.001)


def test_delivered_reply_stops_when_the_server_says_that_it_hears() -> None:
    delivered = reply(49.0, tone(4.0))
    assert stop_s(delivered, 50.0, speech_started=(48.0, 50.2)) == pytest.approx(0.2)
    paced = replace(delivered, pieces=(*delivered.pieces, Piece(50.4, 53.0, tone(0.02))))
    assert stop_s(paced, 50.0, speech_started=(50.2,)) == pytest.approx(3.02, abs=0.001)


def test_head_of_a_reply_keeps_what_tells_its_beginning() -> None:
    quiet = np.zeros(RATE_HZ, dtype=np.float32)
    pieces = tuple(Piece(at, at, tone(1.0) if at > 1 else quiet) for at in map(float, range(8)))
    head = head_of(Reply("resp", 0.0, "", None, pieces))
    assert sum(piece.samples.size for piece in head.pieces) == 4 * RATE_HZ
    assert len(head_of(Reply("resp", 0.0, "", None, pieces[:2])).pieces) == 1
