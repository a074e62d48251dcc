"""Speeds, conversations and settings that the tests of `capacity` share: those of a two-core host, rounded."""

from dataclasses import replace

from voicectl.capacity.conversation import Conversation, Tuning, TurnShape
from voicectl.capacity.speeds import Speeds

SPEEDS = Speeds(
    cores=2,
    stt_s=0.01,
    stt_window_s=0.03,
    stt_speech_s=0.009,
    turn_s=0.034,
    prefill_s=0.004,
    prefill_token_s=0.0013,
    prefill_context_s=0.0008,
    decode_s=0.009,
    decode_reply_s=0.0012,
    decode_context_s=0.001,
    front_s=0.012,
    front_audio_s=0.004,
    chunk_s=0.043,
    chunk_audio_s=0.06,
    session_cores=0.012,
    crowd_speed=0.85,
    hearing_s=0.02,
    sending_s=0.03,
    spread={"stt": 0.1, "turn": 0.1, "prefill": 0.1, "decode": 0.1, "tts": 0.1},
)
EXACT = replace(SPEEDS, spread={}, crowd_speed=1.0, session_cores=0.0)
TURN = TurnShape(
    speech_s=3.0, end_pause_s=0.3, prompt_tokens=16, first_clause_tokens=8, reply_tokens=25, clauses_s=(1.5, 3.0)
)
CONVERSATION = Conversation(
    "test", (TURN, replace(TURN, speech_s=2.0, end_pause_s=0.55)), think_s=6.0, think_spread_s=3.0
)
TUNING = Tuning(late_s={"stt": 0.8, "llm": 1.0, "tts": 1.0, "turn": 0.6})
