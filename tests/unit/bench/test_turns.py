"""Stages are disjoint, add up to voice-to-voice, and stay unknown where nothing was observed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.bench.turns import (
    STAGES,
    Piece,
    Reply,
    Spoken,
    TurnEvidence,
    audible_at,
    parse_times,
    report_turn,
)
from voicectl.core.events import StageTimes

RATE = 24_000
ONE_WAY_S = 0.002
SERVER_AHEAD_S = 1000.0
"""The server's clock has another origin."""


def tone(length_s: float) -> np.ndarray:
    ramp = np.arange(round(length_s * RATE)) / RATE
    return (0.3 * np.cos(2 * np.pi * 500 * ramp)).astype(np.float32)


def silence(length_s: float) -> np.ndarray:
    return np.zeros(round(length_s * RATE), dtype=np.float32)


def turn(
    *,
    vad_s: float = 0.01,
    committed_s: float = 0.3,
    transcribed_s: float = 0.25,
    clause_s: float = 0.28,
    audio_s: float = 0.35,
    sent_s: float = 0.36,
    lead_in_s: float = 0.05,
) -> TurnEvidence:
    """One turn; times are seconds after the caller's last voiced sample at 1.0 s, as the server has them."""
    spoken = Spoken(np.concatenate([tone(1.0), silence(0.5)]), began_at=50.0, position_s=3.0)
    ended_at = 51.0
    heard = SERVER_AHEAD_S + ended_at + ONE_WAY_S
    times = StageTimes(
        last_voiced_position_s=4.0 + vad_s,
        last_voiced_at=heard + vad_s,
        hesitated_at=heard + 0.1,
        transcribed_at=heard + transcribed_s,
        first_token_at=heard + transcribed_s + 0.01,
        first_clause_at=heard + clause_s,
        first_audio_at=heard + audio_s,
        committed_at=heard + committed_s,
        first_sent_at=heard + sent_s,
    )
    arrived = ended_at + sent_s + 2 * ONE_WAY_S
    piece = Piece(arrived, arrived, np.concatenate([silence(lead_in_s), tone(0.5)]))
    reply = Reply("r1", ended_at + committed_s, "Paris.", "completed", (piece,), times)
    return TurnEvidence("capital of france", (reply,), RATE, spoken, ended_at + committed_s, rtt_s=2 * ONE_WAY_S)


def test_stages_are_the_critical_path_after_the_last_voiced_sample() -> None:
    report = report_turn(turn())
    assert report.v2v_ms == pytest.approx(414, abs=1)
    expected = {"vad": 10, "endpointing": 290, "stt": 0, "llm": 0, "tts": 50, "playout": 10, "transport": 4}
    assert {stage: report.stages_ms[stage] for stage in expected} == pytest.approx(expected, abs=0.1)
    assert report.stages_ms["lead_in"] == pytest.approx(50, abs=1)
    assert report.eou_to_first_audio_ms == pytest.approx(60)


@given(
    vad_s=st.floats(-0.05, 0.05),
    committed_s=st.floats(0.1, 0.9),
    transcribed_s=st.floats(0.05, 0.6),
    gaps_s=st.tuples(*[st.floats(0.0, 0.4)] * 3),
    lead_in_s=st.floats(0.0, 0.2),
)
def test_stages_add_up_to_voice_to_voice(
    vad_s: float, committed_s: float, transcribed_s: float, gaps_s: tuple[float, float, float], lead_in_s: float
) -> None:
    clause_s = transcribed_s + gaps_s[0]
    audio_s = clause_s + gaps_s[1]
    evidence = turn(
        vad_s=vad_s,
        committed_s=committed_s,
        transcribed_s=transcribed_s,
        clause_s=clause_s,
        audio_s=audio_s,
        sent_s=max(audio_s, committed_s) + gaps_s[2],
        lead_in_s=lead_in_s,
    )
    report = report_turn(evidence)
    assert report.unexplained_ms == pytest.approx(0, abs=1.1)
    assert all(value is not None and (value >= 0 or stage == "vad") for stage, value in report.stages_ms.items())


def test_missing_instant_leaves_its_stage_and_the_rest_unknown_not_zero() -> None:
    evidence = turn()
    reply = evidence.replies[0]
    assert reply.times is not None
    times = replace(reply.times, first_clause_at=None)
    report = report_turn(replace(evidence, replies=(replace(reply, times=times),)))
    assert report.stages_ms["llm"] is None
    assert report.stages_ms["tts"] is None
    assert report.unexplained_ms is None
    assert report.v2v_ms is not None


def test_turn_without_a_reply_has_no_times() -> None:
    report = report_turn(replace(turn(), replies=()))
    assert report.v2v_ms is None
    assert not report.answered
    assert set(report.document()["stages_ms"]) == set(STAGES)
    assert report.document()["eou_to_first_audio_ms"] is None


def test_reply_before_the_last_voiced_sample_is_a_cut_in_and_gives_no_v2v() -> None:
    evidence = turn()
    early = Piece(50.4, 50.4, tone(0.3))
    cut = replace(evidence.replies[0], pieces=(early,), status="cancelled")
    alone = report_turn(replace(evidence, replies=(cut,)))
    assert alone.cut_in
    assert alone.interrupted
    assert alone.v2v_ms is None
    both = report_turn(replace(evidence, replies=(cut, evidence.replies[0])))
    assert both.cut_in
    assert both.v2v_ms == pytest.approx(414, abs=1)


def test_silent_reply_is_not_heard() -> None:
    evidence = turn()
    silent = replace(evidence.replies[0], pieces=(Piece(51.4, 51.4, silence(0.5)),))
    assert report_turn(replace(evidence, replies=(silent,))).v2v_ms is None


def test_first_audible_sample_is_placed_by_the_piece_that_holds_it() -> None:
    pieces = (Piece(1.0, 1.0, silence(0.1)), Piece(1.5, 1.5, np.concatenate([silence(0.02), tone(0.2)])))
    assert audible_at(pieces, RATE) == pytest.approx(1.52, abs=0.001)


def test_times_are_read_with_null_as_none() -> None:
    text = json.dumps({"committed_at": 1.5, "first_sent_at": None, "session_now": 9.0})
    assert parse_times(text) == StageTimes(committed_at=1.5)


@pytest.mark.parametrize("text", ["[]", "nonsense", '{"committed_at": "1"}'])
def test_times_of_another_shape_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_times(text)
