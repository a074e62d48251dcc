"""The end-of-turn stage: scores whether a caller who pauses is done."""

from typing import Final

import numpy as np

from voicectl.core.audio import pcm16_to_float
from voicectl.core.errors import RequestRejected
from voicectl.engine.jobs import JobPool, JobRun
from voicectl.engine.messages import Scored, ScoreTurn
from voicectl.engine.stage import StageRuntime, StageSetup
from voicectl.engine.turn.model import NUM_SAMPLES, TurnModel

_WARM_UP_RUNS: Final = 2


class TurnScorer:
    """Turns one `ScoreTurn` into one `Scored`."""

    def __init__(self, model: TurnModel) -> None:
        self._model = model

    def __call__(self, run: JobRun) -> Scored:
        """Score a job's audio. Raises RequestRejected when it is none."""
        body = run.job.body
        if not isinstance(body, ScoreTurn):
            raise RequestRejected(f"the turn stage cannot serve {type(body).__name__}")
        try:
            samples = pcm16_to_float(body.pcm)
        except ValueError as error:
            raise RequestRejected(str(error)) from error
        if not len(samples):
            raise RequestRejected("there is no audio to score")
        return Scored(probability=self._model.complete_probability(samples))


def load(setup: StageSetup) -> StageRuntime:
    """Load the profile's end-of-turn model and warm it up."""
    model = TurnModel(setup.model_root, setup.worker)
    for _ in range(_WARM_UP_RUNS):
        model.complete_probability(np.zeros(NUM_SAMPLES, dtype=np.float32))
    return JobPool("turn", TurnScorer(model), lanes=1, depth=setup.profile.server.queue_depth)
