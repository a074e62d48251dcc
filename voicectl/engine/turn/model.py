"""Call the smart-turn model: the last seconds of a turn in, the probability that it is complete out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime

from voicectl.core.audio import MODEL_RATE_HZ, Samples
from voicectl.core.errors import ArtifactMissing, ConfigError
from voicectl.core.sections.hardware import Worker
from voicectl.engine.mel import HOP, LogMel

NUM_SAMPLES: Final = 8 * MODEL_RATE_HZ
"""How much of a turn the model hears: its last 8 s."""

_NUM_FRAMES: Final = NUM_SAMPLES // HOP
_INPUT: Final = "input_features"
_GPU_BATCH: Final = 8


class TurnModel:
    """A loaded smart-turn model; one thread a call."""

    def __init__(self, model_root: Path, worker: Worker) -> None:
        """Load the model. Raises ArtifactMissing, or ConfigError for another kind of model."""
        files = sorted(model_root.rglob("*.onnx"))
        if not files:
            raise ArtifactMissing(f"{model_root}: no .onnx file", hint="voicectl models pull")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(files[0]), options, providers=_providers(worker))
        inputs = [(item.name, item.shape[1:]) for item in self._session.get_inputs()]
        if inputs != [(_INPUT, [80, _NUM_FRAMES])]:
            raise ConfigError(
                f"{files[0]}: inputs are {inputs}, a smart-turn v3 model has [('{_INPUT}', [80, {_NUM_FRAMES}])]",
                hint="check models.turn in the profile",
            )
        self._mel = LogMel(80)

    @property
    def best_batch(self) -> int:
        """Return how many turns are worth scoring together.

        On a CPU each costs as much as alone (50, 51, 51, 46 ms a turn for 1, 2, 4, 8 on a busy host,
        2026-11), so one after the other is sooner for all but the last.
        """
        return 1 if self._session.get_providers() == ["CPUExecutionProvider"] else _GPU_BATCH

    def complete_probabilities(self, turns: Sequence[Samples]) -> list[float]:
        """Return how likely each turn, which ends with these 16 kHz samples, is complete."""
        features = np.stack([self._mel(normalised(samples), _NUM_FRAMES) for samples in turns])
        outputs = self._session.run(None, {_INPUT: features})
        return [float(probability) for probability in np.asarray(outputs[0]).reshape(-1)]


def normalised(samples: Samples) -> Samples:
    """Return the last 8 s, silence before shorter audio, with zero mean and unit variance.

    Mean and variance are those of all 8 s, silence included: so was the model trained
    (`do_normalize` of the Whisper feature extractor in transformers).
    """
    heard = samples[-NUM_SAMPLES:]
    window = np.zeros(NUM_SAMPLES, dtype=np.float32)
    window[NUM_SAMPLES - len(heard) :] = heard
    window -= window.mean(dtype=np.float64)
    window /= np.float32(np.sqrt(window.var(dtype=np.float64) + 1e-7))
    return window


def _providers(worker: Worker) -> list[str | tuple[str, dict[str, int]]]:
    if worker.device == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return [("CUDAExecutionProvider", {"device_id": worker.device_index}), "CPUExecutionProvider"]
    # A GPU host without onnxruntime's GPU build: the model is small enough for the CPU.
    return ["CPUExecutionProvider"]
