"""The end-of-turn stage: scores whether a caller who pauses is done."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from voicectl.core.audio import MODEL_RATE_HZ, Samples, pcm16_to_float
from voicectl.core.errors import RequestRejected
from voicectl.engine.jobqueue import QueueLimits
from voicectl.engine.jobs import BatchPool, JobRun
from voicectl.engine.messages import Scored, ScoreTurn
from voicectl.engine.meter import StageMeter
from voicectl.engine.stage import StageRuntime, StageSetup
from voicectl.engine.turn.model import NUM_SAMPLES, TurnModel

_WARM_UP_RUNS: Final = 2


class TurnScorer:
    """Turns each `ScoreTurn` of a batch into a `Scored`."""

    def __init__(self, model: TurnModel, meter: StageMeter) -> None:
        self._model = model
        self._meter = meter

    def __call__(self, batch: Sequence[JobRun]) -> None:
        """Score the audio of all jobs together; one without audio is rejected and disturbs no other."""
        heard: list[tuple[JobRun, Samples]] = []
        for run in batch:
            with run.guarded():
                run.check()
                heard.append((run, self._samples(run)))
        if heard:
            probabilities = self._model.complete_probabilities([samples for _, samples in heard])
            for (run, _), probability in zip(heard, probabilities, strict=True):
                with run.guarded():
                    run.check()
                    run.end(Scored(probability=probability))

    def _samples(self, run: JobRun) -> Samples:
        body = run.job.body
        if not isinstance(body, ScoreTurn):
            raise RequestRejected(f"the turn stage cannot serve {type(body).__name__}")
        try:
            samples = pcm16_to_float(body.pcm)
        except ValueError as error:
            raise RequestRejected(str(error)) from error
        if not len(samples):
            raise RequestRejected("there is no audio to score")
        self._meter.audio(min(len(samples), NUM_SAMPLES) / MODEL_RATE_HZ)
        return samples


def load(setup: StageSetup) -> StageRuntime:
    """Load the profile's end-of-turn model and warm it up."""
    model = TurnModel(setup.model_root, setup.worker)
    for _ in range(_WARM_UP_RUNS):
        model.complete_probabilities([np.zeros(NUM_SAMPLES, dtype=np.float32)])
    meter = StageMeter(setup.metrics, "turn")
    limits = QueueLimits(lanes=1, depth=setup.profile.server.queue_depth, most=model.best_batch)
    return BatchPool("turn", TurnScorer(model, meter), limits, group=lambda _: "any", meter=meter)
