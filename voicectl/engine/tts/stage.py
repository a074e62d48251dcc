"""The text-to-speech stage: load the voice, answer `Synthesize` requests, take turns by the chunk."""

import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry, Gauge, Histogram

from voicectl.core.audio import float_to_pcm16
from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.errors import ArtifactMissing, RequestRejected
from voicectl.engine.jobs import JobPool, JobRun
from voicectl.engine.messages import ReplyBody, SpeechEnded, SpeechPiece, Synthesize
from voicectl.engine.meter import SECONDS, StageMeter
from voicectl.engine.stage import StageRuntime, StageSetup
from voicectl.engine.tts.crew import Crew
from voicectl.engine.tts.pacing import Stream
from voicectl.engine.tts.phonemes import Phonemizer
from voicectl.engine.tts.speaker import ChunkPlan, Speaker, Spoken
from voicectl.engine.tts.voice import Voice

MAX_TEXT_CHARS: Final = 20_000
"""Longest text of a request: some twenty minutes of speech."""
MIN_SPEED: Final = 0.25
MAX_SPEED: Final = 4.0
LANES: Final = 64
"""Texts in progress at once; the crew works for them in turn, so a lane costs a sleeping thread."""

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


class TtsMeter(StageMeter):
    """The metrics of text to speech."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry, "tts")
        self.first_chunk = Histogram(
            "voicectl_tts_first_chunk_seconds",
            "Time from the arrival of a text to its first audio.",
            buckets=SECONDS,
            registry=registry,
        )
        self.streams = Gauge("voicectl_tts_streams", "Texts being spoken.", registry=registry)


class SpeechHandler:
    """Answers one job; many threads may call it, and the crew computes for them all."""

    def __init__(
        self, speaker: Speaks, crew: Crew, *, meter: TtsMeter | None = None, clock: Clock | None = None
    ) -> None:
        self._speaker = speaker
        self._crew = crew
        self._meter = meter or TtsMeter(CollectorRegistry())
        self._clock = clock or MonotonicClock()

    def __call__(self, run: JobRun) -> ReplyBody:
        """Stream the speech of the job's text; between two steps it stops if it was cancelled."""
        body = _accepted(run)
        steps = self._speaker.speak(body.text, speed=body.speed)
        stream = Stream(run.job.priority, run.job.request_id, submitted_at=run.submitted_at)
        with self._meter.streams.track_inprogress():
            while (spoken := self._crew.compute(stream.need(), partial(_step, run, steps))) is not None:
                if len(spoken.samples) or spoken.marks:
                    self._deliver(run, stream, spoken)
        return SpeechEnded()

    def _deliver(self, run: JobRun, stream: Stream, spoken: Spoken) -> None:
        rate = self._speaker.sample_rate
        run.emit(SpeechPiece(float_to_pcm16(spoken.samples), rate, spoken.marks))
        seconds, now = len(spoken.samples) / rate, self._clock.now()
        if seconds and not stream.begun:
            self._meter.first_chunk.observe(now - run.submitted_at)
        self._meter.audio(seconds)
        stream.delivered(seconds, now)


def _step(run: JobRun, steps: Iterator[Spoken]) -> Spoken | None:
    run.check()
    return next(steps, None)


class _SpeechPool(JobPool):
    """The stage: a pool of waiting threads, and the crew that works for them."""

    def __init__(self, handler: SpeechHandler, crew: Crew, *, depth: int, meter: TtsMeter) -> None:
        super().__init__("tts", handler, lanes=LANES, depth=depth, meter=meter)
        self._crew = crew

    def close(self) -> None:
        """Answer all jobs and stop all threads."""
        super().close()
        self._crew.close()


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
    crew, meter = Crew(settings.parallel), TtsMeter(setup.metrics)
    handler = SpeechHandler(speaker, crew, meter=meter)
    return _SpeechPool(handler, crew, depth=setup.profile.server.queue_depth, meter=meter)


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
