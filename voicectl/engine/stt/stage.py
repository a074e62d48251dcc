"""The speech-to-text stage: jobs in, transcripts out, the more important first."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import structlog

from voicectl.core.audio import MODEL_RATE_HZ, Samples, pcm16_to_float
from voicectl.core.errors import ConfigError, RequestRejected
from voicectl.core.ports import Priority
from voicectl.core.sections.engine import SttSettings
from voicectl.engine.jobs import JobPool, JobRun
from voicectl.engine.messages import Transcribe, Transcribed
from voicectl.engine.stage import StageRuntime, StageSetup
from voicectl.engine.stt.model import WhisperModel
from voicectl.engine.stt.quality import QualityLimits, Reading, compression_ratio, is_credible, needs_retry
from voicectl.engine.stt.windows import LONGEST_WINDOW, MOST_TOKENS, choose_window, pieces, resume_at, token_limit

_LEAST_RETRIED_REST: Final = 3 * MODEL_RATE_HZ

log = structlog.get_logger(__name__)


class Transcriber:
    """Turns one `Transcribe` into one `Transcribed`; shared by all lanes."""

    def __init__(self, model: WhisperModel, settings: SttSettings) -> None:
        self._model = model
        self._windows = window_ladder(settings.windows)
        self._hotwords = settings.hotwords
        self._limits = QualityLimits(settings.max_compression_ratio, settings.min_logprob)

    def warm_up(self) -> None:
        """Make the first calls as fast as later ones.

        The shortest window is what nearly all turns use; warming all four would cost a second of start.
        """
        self._model.warm_up(self._windows[0])

    def __call__(self, run: JobRun) -> Transcribed:
        """Transcribe a job's audio. Raises RequestRejected when it is none."""
        body = run.job.body
        if not isinstance(body, Transcribe):
            raise RequestRejected(f"the stt stage cannot serve {type(body).__name__}")
        try:
            samples = pcm16_to_float(body.pcm)
        except ValueError as error:
            raise RequestRejected(str(error)) from error
        if not len(samples):
            raise RequestRejected("there is no audio to transcribe")
        hotwords = body.hotwords if body.hotwords is not None else self._hotwords
        # A partial is only a preview: the final pass over the same audio will take the second look.
        may_retry = run.job.priority < Priority.PARTIAL
        readings = [
            reading
            for piece in pieces(samples)
            for reading in self._read_through(piece, hotwords, may_retry, run.check)
        ]
        return combine(readings)

    def _read_through(
        self, samples: Samples, hotwords: str | None, may_retry: bool, check: Callable[[], None]
    ) -> Iterator[Reading]:
        """Read a piece, again from where the model stopped listening, if it did."""
        while True:
            reading = self._read(samples, hotwords, may_retry, check)
            yield reading
            rest = resume_at(reading.resume_at_s, len(samples))
            if rest is None:
                return
            samples = samples[rest:]
            # A short rest is most often the silence that the model stopped at: not worth a full window.
            may_retry = may_retry and len(samples) >= _LEAST_RETRIED_REST

    def _read(self, samples: Samples, hotwords: str | None, may_retry: bool, check: Callable[[], None]) -> Reading:
        """Read a piece that fits into one window.

        Times are asked for although nobody wants them: a model that has to say when the words ended
        does not say them again to fill a short window (loops on 7 of 55 short clips without times,
        on 2 with them; WER 4.8 % against 4.3 %; tiny.en, 2026-11). The second look does without, to
        be a second opinion: what loops one way seldom loops the other.
        """
        check()
        window = choose_window(len(samples), self._windows)
        limit = token_limit(len(samples))
        reading = self._model.read(samples, window, with_times=True, max_tokens=limit, hotwords=hotwords, check=check)
        if may_retry and needs_retry(reading, self._limits):
            check()
            log.debug("transcription_retried", window_frames=window, num_samples=len(samples))
            reading = self._model.read(
                samples, LONGEST_WINDOW, with_times=False, max_tokens=MOST_TOKENS, hotwords=hotwords, check=check
            )
        return reading if is_credible(reading, self._limits) else replace(reading, text="")


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
    """Load the profile's speech-to-text model and warm it up."""
    settings = setup.profile.stt
    transcriber = Transcriber(WhisperModel(setup.model_root, settings, setup.worker), settings)
    transcriber.warm_up()
    return JobPool(
        "stt",
        transcriber,
        lanes=settings.parallel,
        depth=setup.profile.server.queue_depth,
        optional_from=Priority.PARTIAL,
    )
