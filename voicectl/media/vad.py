"""Tell speech from everything else, 32 ms at a time. Knows no turn and no clock."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from voicectl.core.audio import MODEL_RATE_HZ, Samples
from voicectl.core.errors import ArtifactMissing, IntegrityError

VAD_FRAME_SAMPLES: Final = 512
VAD_FRAME_S: Final = VAD_FRAME_SAMPLES / MODEL_RATE_HZ
"""Length of one decision: 32 ms."""
SILENCE_DBFS: Final = -100.0
"""Level reported for digital silence."""

_CONTEXT: Final = 64
_STATE: Final = (1, 1, 128)


@dataclass(frozen=True, slots=True)
class VadFrame:
    """One decision. Times are seconds of the input stream; the level is RMS relative to full scale."""

    start_s: float
    end_s: float
    probability: float
    level_dbfs: float


class VoiceActivityDetector:
    """Silero's recurrent model over one stream of 16 kHz samples; about 60 µs a frame.

    All streams of a process share the loaded model; the state is the stream's own.
    """

    def __init__(self, model: Path) -> None:
        """Load the model of an ONNX file, or the only one in a folder. Raises ArtifactMissing, IntegrityError."""
        self._session = _session(_model_file(model))
        self.reset()

    def reset(self, position: int = 0) -> None:
        """Forget what was heard; the next sample is number `position` of the stream."""
        self._num_samples = position
        self._hidden: NDArray[np.float32] = np.zeros(_STATE, dtype=np.float32)
        self._cell: NDArray[np.float32] = np.zeros(_STATE, dtype=np.float32)
        self._window = np.zeros(_CONTEXT + VAD_FRAME_SAMPLES, dtype=np.float32)
        self._waiting: Samples = np.zeros(0, dtype=np.float32)

    def push(self, samples: Samples) -> list[VadFrame]:
        """Return a decision for each frame that `samples`, shape (n,), completes."""
        waiting = np.concatenate((self._waiting, samples)) if self._waiting.size else samples
        whole = waiting.size // VAD_FRAME_SAMPLES * VAD_FRAME_SAMPLES
        self._waiting = waiting[whole:].copy()
        return [self._judge(frame) for frame in waiting[:whole].reshape(-1, VAD_FRAME_SAMPLES)]

    def _judge(self, frame: Samples) -> VadFrame:
        window = self._window
        window[:_CONTEXT] = window[-_CONTEXT:]
        window[_CONTEXT:] = frame
        inputs = {"input": window[None], "h": self._hidden, "c": self._cell}
        probability, self._hidden, self._cell = self._session.run(None, inputs)
        start_s = self._num_samples / MODEL_RATE_HZ
        self._num_samples += VAD_FRAME_SAMPLES
        return VadFrame(start_s, self._num_samples / MODEL_RATE_HZ, float(np.ravel(probability)[0]), level_dbfs(frame))


def level_dbfs(samples: Samples) -> float:
    """Return the RMS level relative to full scale, in decibels, never below SILENCE_DBFS."""
    power = float(np.dot(samples, samples)) / max(1, samples.size)
    return max(SILENCE_DBFS, 10.0 * float(np.log10(power))) if power > 0.0 else SILENCE_DBFS


def _model_file(model: Path) -> Path:
    if model.is_file():
        return model.resolve()
    found = sorted(model.rglob("*.onnx"))
    if not found:
        raise ArtifactMissing(f"{model}: no .onnx file of a voice-activity model", hint="voicectl models pull")
    return found[0].resolve()


@functools.cache
def _session(model: Path) -> Any:
    """Load the model once a process: it is small, and one thread each keeps streams from waiting."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # onnxruntime raises a different class for every reason a model cannot be read.
        raise IntegrityError(f"{model}: not a readable model: {error}", hint="voicectl models verify") from error
