"""The text-to-speech stage: load the voice, answer `Synthesize` requests, take turns by the chunk."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import structlog

from voicectl.core.audio import float_to_pcm16
from voicectl.core.errors import ArtifactMissing, RequestRejected
from voicectl.engine.jobs import JobPool, JobRun
from voicectl.engine.messages import ReplyBody, SpeechEnded, SpeechPiece, Synthesize
from voicectl.engine.stage import StageRuntime, StageSetup
from voicectl.engine.tts.phonemes import Phonemizer
from voicectl.engine.tts.speaker import ChunkPlan, Speaker, Spoken
from voicectl.engine.tts.turnstile import Turnstile
from voicectl.engine.tts.voice import Voice

MAX_TEXT_CHARS: Final = 20_000
"""Longest text of a request: some twenty minutes of speech."""
MIN_SPEED: Final = 0.25
MAX_SPEED: Final = 4.0
MAX_LANES: Final = 64
"""Texts in progress at once; they take turns, so a lane costs a sleeping thread."""

log = structlog.get_logger(__name__)


class Speaks(Protocol):
    """What the stage needs of a voice."""

    @property
    def sample_rate(self) -> int:
        """Return the rate of its samples."""
        ...

    def speak(self, text: str, *, speed: float) -> Iterator[Spoken]:
        """Yield speech, one bounded computation a step."""
        ...


class SpeechHandler:
    """Answers one job; many threads may call it, and one of them computes at a time."""

    def __init__(self, speaker: Speaks, turnstile: Turnstile | None = None) -> None:
        self._speaker = speaker
        self._turnstile = turnstile or Turnstile()

    def __call__(self, run: JobRun) -> ReplyBody:
        """Stream the speech of the job's text; between two steps it stops if it was cancelled."""
        body = _accepted(run)
        rate = self._speaker.sample_rate
        steps = self._speaker.speak(body.text, speed=body.speed)
        delivered_s = 0.0
        while True:
            with self._turnstile.turn((run.job.priority, delivered_s, run.job.request_id)):
                run.check()
                spoken = next(steps, None)
            if spoken is None:
                return SpeechEnded()
            if len(spoken.samples) or spoken.marks:
                run.emit(SpeechPiece(float_to_pcm16(spoken.samples), rate, spoken.marks))
                delivered_s += len(spoken.samples) / rate

    def waiting(self) -> int:
        """Return how many jobs wait for their next step."""
        return self._turnstile.waiting()


def load(setup: StageSetup) -> StageRuntime:
    """Load the voice in `setup.model_root` and warm it up. Raises VoiceError or ArtifactMissing.

    Piper runs on the CPU whatever the worker's device: one thread speaks ten times faster than time.
    """
    settings = setup.profile.tts
    voice = Voice(_voice_file(setup.model_root), threads=settings.threads)
    plan = ChunkPlan(first=settings.first_chunk_frames, later=settings.chunk_frames)
    speaker = Speaker(voice, Phonemizer(voice.config.espeak_voice), plan)
    speaker.warm_up()
    log.info("voice_loaded", model=setup.profile.models.tts, sample_rate=speaker.sample_rate, threads=settings.threads)
    server = setup.profile.server
    lanes = min(server.max_sessions, MAX_LANES)
    return JobPool("tts", SpeechHandler(speaker), lanes=lanes, depth=server.queue_depth)


def _voice_file(root: Path) -> Path:
    found = sorted(root.glob("*.onnx"))
    if len(found) != 1:
        raise ArtifactMissing(
            f"{root}: {len(found)} .onnx files, a voice has one", hint="fetch the voice with `voicectl models pull`"
        )
    return found[0]


def _accepted(run: JobRun) -> Synthesize:
    body = run.job.body
    if not isinstance(body, Synthesize):
        raise RequestRejected(f"the text-to-speech stage cannot serve a {type(body).__name__}")
    if len(body.text) > MAX_TEXT_CHARS:
        raise RequestRejected(f"the text has {len(body.text)} characters, at most {MAX_TEXT_CHARS} are spoken at once")
    if not (math.isfinite(body.speed) and MIN_SPEED <= body.speed <= MAX_SPEED):
        raise RequestRejected(f"speed {body.speed} is not between {MIN_SPEED} and {MAX_SPEED}")
    return body
