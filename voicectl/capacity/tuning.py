"""The settings of a profile that decide how its stages share a host, as the model wants them. Reads no file."""

from typing import Final

from voicectl.capacity.conversation import Tuning
from voicectl.core.profile import Profile

VOICE_FRAME_S: Final = 256 / 22_050
"""Sound of one decoder frame of a Piper voice."""


def tuning_of(profile: Profile) -> Tuning:
    """Return what matters of a profile."""
    overload = profile.overload
    niceness = {stage: worker.niceness for worker in profile.workers if not worker.fallback for stage in worker.stages}
    return Tuning(
        stt_lanes=profile.stt.parallel,
        stt_batch=profile.stt.max_batch,
        stt_windows=profile.stt.windows,
        partial_interval_s=profile.stt.partial_interval_s,
        prefill_tokens=profile.llm.prefill_tokens,
        hot_sessions=profile.llm.hot_sessions,
        idle_tokens=profile.llm.idle_tokens,
        tts_parallel=profile.tts.parallel,
        first_chunk_s=profile.tts.first_chunk_frames * VOICE_FRAME_S,
        chunk_s=profile.tts.chunk_frames * VOICE_FRAME_S,
        threads=thread_settings(profile),
        niceness={str(stage): nice for stage, nice in niceness.items()},
        hesitation_s=profile.endpointing.hesitation_ms / 1000,
        completion_s=profile.endpointing.completion_ms / 1000,
        late_s={"stt": overload.stt_s, "llm": overload.llm_s, "tts": overload.tts_s, "turn": overload.turn_s},
        overload=overload.enabled,
    )


def thread_settings(profile: Profile) -> dict[str, int]:
    """Return the threads by kind of work, as `Speeds.with_threads` wants them."""
    return {
        "stt": profile.stt.threads,
        "turn": 1,
        "prefill": profile.llm.threads,
        "decode": profile.llm.threads,
        "tts": profile.tts.threads,
    }
