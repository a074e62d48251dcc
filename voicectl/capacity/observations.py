"""What was timed on a host: pieces of work, what they depended on, seconds. Judges nothing."""

from dataclasses import dataclass
from typing import Final, Literal

Work = Literal["stt", "turn", "prefill", "decode", "tts_first", "tts_chunk"]
DRIVERS: Final[dict[Work, tuple[str, ...]]] = {
    "stt": ("window_frames", "speech_s"),
    "turn": (),
    "prefill": ("num_steps", "num_tokens", "context_tokens"),
    "decode": ("num_replies", "context_tokens"),
    "tts_first": ("clause_s", "chunk_s"),
    "tts_chunk": ("chunk_s",),
}
"""What the time of each kind of work depends on, by the names used in observations."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One timed piece of work on an otherwise idle host. `drivers` has the values in the order of `DRIVERS`."""

    work: Work
    drivers: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class LiveCall:
    """What calls through a real gateway showed that no single stage shows.

    `session_cores` is what the gateway takes for one call, `sending_s` what lies between the voice's first sound
    and the caller's hearing it, `v2v_s` the turns that were measured, with the concurrency they were measured at.
    """

    session_cores: float
    sending_s: float
    v2v_s: tuple[float, ...]
    num_calls: int
    memory_bytes: dict[str, int]
