"""A calibration of profile `cpu` on two cores, rounded."""

from tests.fakes.capacity_shapes import CONVERSATION, SPEEDS
from voicectl.capacity.calibration import FORMAT, Calibration, Machine
from voicectl.capacity.fit import Residual
from voicectl.capacity.observations import LiveCall

PROMPTS = {"num_steps": (1.0, 5.0), "num_tokens": (12.0, 300.0), "context_tokens": (6.0, 900.0)}
CALIBRATION = Calibration(
    format=FORMAT,
    made_at="2026-11-26T21:00:00+00:00",
    took_s=38.0,
    voicectl="0",
    machine=Machine("a processor", 2, 24_000_000_000, None, 0.0),
    profile="cpu",
    models={
        "stt": "faster-whisper-tiny.en",
        "llm": "smollm2-135m-instruct-q4_1",
        "tts": "piper-en_US-joe-medium",
        "turn": "smart-turn-v3.2",
        "vad": "silero-vad-v6",
    },
    pins={"a": "0" * 64},
    versions={"onnxruntime": "1"},
    settings={"stt": {"compute_type": "int8", "beam_size": 1}, "llm": {"requantise": "q4_0"}, "tts": {}},
    threads={"stt": 1, "prefill": 1, "decode": 1, "tts": 1, "turn": 1},
    speeds=SPEEDS,
    residuals=(
        Residual("stt", 9, 0.05, 0.1, {"window_frames": (1000.0, 1500.0), "speech_s": (1.2, 13.0)}),
        Residual(
            "prefill",
            9,
            0.05,
            0.1,
            {"num_steps": (1.0, 5.0), "num_tokens": (12.0, 300.0), "context_tokens": (6.0, 900.0)},
        ),
        Residual("decode", 9, 0.05, 0.1, {"num_replies": (1.0, 8.0), "context_tokens": (70.0, 1500.0)}),
        Residual("tts_first", 9, 0.05, 0.1, {"clause_s": (1.0, 4.6), "chunk_s": (0.4, 0.5)}),
    ),
    live=LiveCall(0.01, 0.03, (0.5, 0.6), 2, {"gateway": 120_000_000}),
    conversation=CONVERSATION,
)
