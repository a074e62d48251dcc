"""Speeds of a host by its data sheet: the roofline formulas, nothing measured. Every answer from here is an ESTIMATE.

Source of the formulas: decoding is bound by reading the weights or by arithmetic, whichever takes longer
(Williams et al., "Roofline", 2009); efficiencies are those at which published prefill times of an 8B model agree
(1,500 tokens: H200 97, L40S 266, RTX 4090 584, A10 771 ms).
"""

from typing import Final

from voicectl.capacity.sheets import HardwareSheet, LanguageModelShape, SpeechModelShape
from voicectl.capacity.speeds import Speeds

ARITHMETIC: Final = 0.25
"""Part of a card's dense FP16 operations that prompts reach."""
BANDWIDTH: Final = 0.7
"""Part of a card's memory bandwidth that decoding reaches."""
STEP_S: Final = 0.0015
"""A step of any size: launches, batch, the way between processes."""
SAMPLE_S: Final = 60e-6
"""Choosing one reply's next token."""
SPEECH_TOKENS: Final = 4.3
"""Tokens that speech to text says about a second of speech."""
ENCODER_FRAMES: Final = 2
"""Mel frames for one position of the encoder."""
SPREAD: Final = 0.15
SESSION_CORES: Final = 0.012
"""What a live call takes of the gateway, measured on two cores with profile `cpu`, 2026-11."""
TURN_S: Final = 0.034


def estimated_speeds(
    sheet: HardwareSheet,
    llm: LanguageModelShape,
    bits: float,
    stt: SpeechModelShape,
    voice_rtf: float,
    *,
    kv_bytes: float,
    tts_threads: int,
) -> Speeds:
    """Return the speeds of a card and its host."""
    flops, bandwidth = ARITHMETIC * sheet.gpu_tflops * 1e12, BANDWIDTH * sheet.gpu_bandwidth_gbs * 1e9
    read_s = llm.active * bits / 8 / bandwidth
    token_s = 2 * llm.active / flops
    voice_s = voice_rtf / sheet.core_speed / max(1.0, 1 + 0.6 * (min(tts_threads, 4) - 1))
    window_s = 2 * stt.encoder * 1000 / ENCODER_FRAMES / flops
    decode_s = SPEECH_TOKENS * (2 * stt.decoder * 1.0 / bandwidth + STEP_S / 3)
    return Speeds(
        cores=sheet.cpu_cores,
        stt_s=4 * STEP_S,
        stt_window_s=window_s,
        stt_speech_s=decode_s,
        turn_s=TURN_S / sheet.core_speed,
        prefill_s=STEP_S + read_s,
        prefill_token_s=token_s,
        # The cache is read once a step, which `decode_context_s` counts; its operations are a few percent.
        prefill_context_s=0.0,
        decode_s=STEP_S + read_s,
        decode_reply_s=SAMPLE_S + token_s,
        decode_context_s=1000 * kv_bytes / bandwidth,
        front_s=0.012 / sheet.core_speed,
        front_audio_s=0.005 / sheet.core_speed,
        chunk_s=0.72 * voice_s,
        chunk_audio_s=voice_s,
        session_cores=SESSION_CORES / sheet.core_speed,
        crowd_speed=0.85,
        stt_batch_share=0.35,
        hearing_s=0.03,
        sending_s=0.03,
        places={"stt": "gpu", "llm": "gpu", "turn": "cpu", "tts": "cpu"},
        spread=dict.fromkeys(("stt", "turn", "prefill", "decode", "tts"), SPREAD),
    )
