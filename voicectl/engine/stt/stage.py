"""The speech-to-text stage: jobs in, transcripts out, the more important first."""

from collections.abc import Generator, Hashable
from dataclasses import replace
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter

from voicectl.core.audio import BYTES_PER_SAMPLE, MODEL_RATE_HZ, Samples, pcm16_to_float
from voicectl.core.errors import ConfigError, RequestRejected
from voicectl.core.ports import Priority
from voicectl.core.sections.engine import SttSettings
from voicectl.engine.jobqueue import QueueLimits
from voicectl.engine.jobs import BatchPool
from voicectl.engine.messages import Transcribe, Transcribed
from voicectl.engine.meter import StageMeter
from voicectl.engine.stage import Job, StageRuntime, StageSetup
from voicectl.engine.stt.model import Pass, WhisperModel
from voicectl.engine.stt.quality import QualityLimits, Reading, compression_ratio, is_credible, needs_retry
from voicectl.engine.stt.together import PassReader
from voicectl.engine.stt.windows import LONGEST_WINDOW, MOST_TOKENS, choose_window, pieces, resume_at, token_limit

_LEAST_RETRIED_REST: Final = 3 * MODEL_RATE_HZ

log = structlog.get_logger(__name__)

Reads = Generator[Pass, Reading, Reading]


class SttMeter(StageMeter):
    """The metrics of speech to text."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry, "stt")
        self.retries = Counter("voicectl_stt_retries", "Second looks through the window of 30 s.", registry=registry)


class Transcriber:
    """Decides what to read of a request's audio, and again, and what of it to believe. Runs no model."""

    def __init__(self, settings: SttSettings, *, longest_shared_window: int, meter: SttMeter) -> None:
        """Requests of which all lies within `longest_shared_window` frames may be read together."""
        self._windows = window_ladder(settings.windows)
        self._hotwords = settings.hotwords
        self._longest_shared = longest_shared_window
        self._limits = QualityLimits(settings.max_compression_ratio, settings.min_logprob)
        self._meter = meter

    @property
    def shortest_window(self) -> int:
        """Return the window that nearly all turns use."""
        return self._windows[0]

    def group(self, job: Job) -> Hashable | None:
        """Return what jobs that may be read together have in common; None for one that runs alone."""
        body = job.body
        if not isinstance(body, Transcribe) or len(body.pcm) % BYTES_PER_SAMPLE:
            return None
        window = choose_window(len(body.pcm) // BYTES_PER_SAMPLE, self._windows)
        return None if window > self._longest_shared else (window, self._hotwords_of(body))

    def transcribe(self, job: Job) -> Generator[Pass, Reading, Transcribed]:
        """Yield the passes that a job needs, one after the other, and return its result.

        Raises RequestRejected when there is nothing to read.
        """
        body = job.body
        if not isinstance(body, Transcribe):
            raise RequestRejected(f"the stt stage cannot serve {type(body).__name__}")
        try:
            samples = pcm16_to_float(body.pcm)
        except ValueError as error:
            raise RequestRejected(str(error)) from error
        if not len(samples):
            raise RequestRejected("there is no audio to transcribe")
        self._meter.audio(len(samples) / MODEL_RATE_HZ)
        # A partial is only a preview: the final pass over the same audio will take the second look.
        may_retry = body.second_look and job.priority < Priority.PARTIAL
        readings: list[Reading] = []
        for piece in pieces(samples):
            readings += yield from self._read_through(piece, self._hotwords_of(body), may_retry)
        return combine(readings)

    def _read_through(
        self, samples: Samples, hotwords: str | None, may_retry: bool
    ) -> Generator[Pass, Reading, list[Reading]]:
        """Read a piece, again from where the model stopped listening, if it did."""
        readings = []
        while True:
            reading = yield from self._read(samples, hotwords, may_retry)
            readings.append(reading)
            rest = resume_at(reading.resume_at_s, len(samples))
            if rest is None:
                return readings
            samples = samples[rest:]
            # A short rest is most often the silence that the model stopped at: not worth a full window.
            may_retry = may_retry and len(samples) >= _LEAST_RETRIED_REST

    def _read(self, samples: Samples, hotwords: str | None, may_retry: bool) -> Reads:
        """Read a piece that fits into one window.

        Times are asked for although nobody wants them: a model that has to say when the words ended
        does not say them again to fill a short window (loops on 7 of 55 short clips without times,
        on 2 with them; WER 4.8 % against 4.3 %; tiny.en, 2026-11). The second look does without, to
        be a second opinion: what loops one way seldom loops the other.
        """
        window = choose_window(len(samples), self._windows)
        reading = yield Pass(samples, window, True, token_limit(len(samples)), hotwords)
        if may_retry and needs_retry(reading, self._limits):
            self._meter.retries.inc()
            log.debug("transcription_retried", window_frames=window, num_samples=len(samples))
            reading = yield Pass(samples, LONGEST_WINDOW, False, MOST_TOKENS, hotwords)
        return reading if is_credible(reading, self._limits) else replace(reading, text="")

    def _hotwords_of(self, body: Transcribe) -> str | None:
        return body.hotwords if body.hotwords is not None else self._hotwords


def window_ladder(windows: tuple[int, ...]) -> tuple[int, ...]:
    """Return the profile's windows rising, the longest included. Raises ConfigError for impossible ones."""
    impossible = [window for window in windows if not 0 < window <= LONGEST_WINDOW]
    if impossible:
        raise ConfigError(
            f"stt.windows has {impossible[0]}, Whisper reads 1 to {LONGEST_WINDOW} frames",
            hint="windows are mel frames of 10 ms, for example [1000, 1500, 2000, 3000]",
        )
    return tuple(sorted({*windows, LONGEST_WINDOW}))


def combine(readings: list[Reading]) -> Transcribed:
    """Return the readings of consecutive pieces as one result; pieces without credible text do not count."""
    credible = [reading for reading in readings if reading.text] or readings
    num_tokens = sum(reading.num_tokens for reading in credible)
    text = " ".join(reading.text for reading in credible if reading.text)
    return Transcribed(
        text=text,
        avg_logprob=sum(reading.avg_logprob * reading.num_tokens for reading in credible) / max(1, num_tokens),
        no_speech_prob=min(reading.no_speech_prob for reading in credible),
        compression_ratio=compression_ratio(text),
        window_frames=max(reading.window_frames for reading in credible),
    )


def load(setup: StageSetup) -> StageRuntime:
    """Load the profile's speech-to-text model and warm it up.

    The shortest window is what nearly all turns use; warming all four would cost a second of start.
    """
    settings = setup.profile.stt
    model = WhisperModel(setup.model_root, settings, setup.worker)
    meter = SttMeter(setup.metrics)
    transcriber = Transcriber(settings, longest_shared_window=model.longest_shared_window, meter=meter)
    model.warm_up(transcriber.shortest_window)
    limits = QueueLimits(
        lanes=settings.parallel,
        depth=setup.profile.server.queue_depth,
        optional_from=Priority.PARTIAL,
        most=settings.max_batch,
        linger_s=settings.linger_ms / 1000,
    )
    return BatchPool("stt", PassReader(transcriber.transcribe, model), limits, group=transcriber.group, meter=meter)
