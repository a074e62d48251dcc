"""How long each piece of work takes on a host, as few parameters. Knows neither how they were found nor any load."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final, Literal, Self

Place = Literal["cpu", "gpu"]
FRAMES_A_SECOND: Final = 100
"""Mel frames a second of audio."""
MARGIN_FRAMES: Final = 100
"""Silence that speech to text wants behind an utterance, mel frames."""

THREAD_SHARE: Final[Mapping[str, float]] = {"stt": 0.55, "prefill": 0.85, "decode": 0.35, "tts": 0.6}
"""Part of a stage's work that more threads share (Amdahl), where only one number of threads was measured.

Judgements, not measurements: they serve to predict a setting that was not calibrated, and are part of what the
model error is to cover.
"""


@dataclass(frozen=True, slots=True)
class Speeds:
    """Seconds of work, on cores that nobody else uses, of every stage; all linear in what they depend on.

    `stt`: a pass over a window of `w` frames with `s` seconds of speech takes
    `stt_s + stt_window_s * w / 1000 + stt_speech_s * s`; in a batch each further pass costs `stt_batch_share` of it.
    `turn`: one score. `prefill`: n tokens before K thousand resident ones take
    `prefill_s + (prefill_token_s + prefill_context_s * K) * n`. `decode`: one token of each of B replies over K
    thousand takes `decode_s + decode_reply_s * B + decode_context_s * K`.
    `tts`: the front end of a clause of `a` seconds takes `front_s + front_audio_s * a`, a chunk
    `chunk_s + chunk_audio_s * a`.
    `session_cores` is what one live call takes of the gateway's cores; `crowd_speed` how fast each core is while
    all are busy, against alone. `hearing_s` and `sending_s` are what no stage accounts for: voice activity beyond
    the pause itself, and the way from the first sample made to the first sample heard. By stage, `spread` is the
    relative noise of one piece of work, `errors` the relative standard error of the mean that was fitted.
    """

    cores: int
    stt_s: float
    stt_window_s: float
    stt_speech_s: float
    turn_s: float
    prefill_s: float
    prefill_token_s: float
    prefill_context_s: float
    decode_s: float
    decode_reply_s: float
    decode_context_s: float
    front_s: float
    front_audio_s: float
    chunk_s: float
    chunk_audio_s: float
    session_cores: float
    crowd_speed: float = 1.0
    stt_batch_share: float = 1.0
    hearing_s: float = 0.0
    sending_s: float = 0.02
    places: Mapping[str, Place] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)

    def place(self, stage: str) -> Place:
        """Return where a stage computes."""
        return self.places.get(stage, "cpu")

    def stt(self, window_frames: int, speech_s: float, batch: int = 1) -> float:
        """Return the seconds of one pass, or of a batch of equal ones."""
        alone = self.stt_s + self.stt_window_s * window_frames / 1000 + self.stt_speech_s * speech_s
        return alone * (1 + (batch - 1) * self.stt_batch_share)

    def prefill(self, num_tokens: int, context_tokens: float = 0.0) -> float:
        """Return the seconds of a step over prompt tokens."""
        return self.prefill_s + (self.prefill_token_s + self.prefill_context_s * context_tokens / 1000) * num_tokens

    def decode(self, num_replies: int, context_tokens: float) -> float:
        """Return the seconds of a step that adds a token to each reply."""
        return self.decode_s + self.decode_reply_s * num_replies + self.decode_context_s * context_tokens / 1000

    def front(self, audio_s: float) -> float:
        """Return the seconds of the voice's front end for a clause."""
        return self.front_s + self.front_audio_s * audio_s

    def chunk(self, audio_s: float) -> float:
        """Return the seconds of a decoder run of the voice."""
        return self.chunk_s + self.chunk_audio_s * audio_s

    def scaled(self, factors: Mapping[str, float]) -> Self:
        """Return the speeds with the times of some stages multiplied: what a replicate of a prediction does."""
        changed = {name: getattr(self, name) * factors.get(stage, 1.0) for name, stage in _STAGE_OF.items()}
        return replace(self, **changed)

    def with_threads(self, measured: Mapping[str, int], wanted: Mapping[str, int]) -> Self:
        """Return the speeds for other numbers of threads than were measured, by Amdahl's law."""
        factors = {
            stage: thread_factor(THREAD_SHARE[stage], measured.get(stage, 1), min(wanted.get(stage, 1), self.cores))
            for stage in THREAD_SHARE
            if self.place(_PLACE_OF[stage]) == "cpu"
        }
        return self.scaled(factors)

    def document(self) -> dict[str, object]:
        """Return the parameters as JSON knows them."""
        return {
            one.name: dict(value) if isinstance(value := getattr(self, one.name), Mapping) else value
            for one in fields(self)
        }


def thread_factor(share: float, measured: int, wanted: int) -> float:
    """Return by how much a time changes from `measured` to `wanted` threads, of which `share` is parallel."""
    return (1 - share + share / wanted) / (1 - share + share / measured)


def window_of(audio_s: float, windows: tuple[int, ...]) -> int:
    """Return the mel window that holds audio and its margin, the longest where none does."""
    wanted = math.ceil(audio_s * FRAMES_A_SECOND) + MARGIN_FRAMES
    return next((window for window in sorted(windows) if window >= wanted), max(windows))


_PLACE_OF: Final = {"stt": "stt", "turn": "turn", "prefill": "llm", "decode": "llm", "tts": "tts"}
_STAGE_OF: Final[Mapping[str, str]] = {
    "stt_s": "stt",
    "stt_window_s": "stt",
    "stt_speech_s": "stt",
    "turn_s": "turn",
    "prefill_s": "prefill",
    "prefill_token_s": "prefill",
    "prefill_context_s": "prefill",
    "decode_s": "decode",
    "decode_reply_s": "decode",
    "decode_context_s": "decode",
    "front_s": "tts",
    "front_audio_s": "tts",
    "chunk_s": "tts",
    "chunk_audio_s": "tts",
}
