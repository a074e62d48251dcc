"""Run a Piper voice: phoneme ids in, frames once, samples in windows. Knows no text and no request."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from voicectl.core.audio import Samples
from voicectl.engine.tts.graph import Cuts, Part, VoiceError, split_voice

FLOW_BLOCK_FRAMES: Final = 384
"""Frames the flow runs ahead after the first chunk: few enough to stop at, many against its reach."""
FRONT_THREADS: Final = 1
"""The front end is a chain of small operators; a second thread made it no faster (2026-11-21)."""
_PAD, _BOS, _EOS = "_", "^", "$"


@dataclass(frozen=True, slots=True)
class VoiceConfig:
    """What the voice's `.onnx.json` says."""

    sample_rate: int
    espeak_voice: str
    phoneme_ids: Mapping[str, Sequence[int]]
    noise_scale: float
    length_scale: float
    noise_w: float

    @classmethod
    def read(cls, path: Path) -> "VoiceConfig":
        """Return the configuration in `path`. Raises VoiceError."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            kind = raw.get("phoneme_type", "espeak")
            inference = raw.get("inference", {})
            config = cls(
                sample_rate=int(raw["audio"]["sample_rate"]),
                espeak_voice=str(raw["espeak"]["voice"]),
                phoneme_ids=raw["phoneme_id_map"],
                noise_scale=float(inference.get("noise_scale", 0.667)),
                length_scale=float(inference.get("length_scale", 1.0)),
                noise_w=float(inference.get("noise_w", 0.8)),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise VoiceError(path, f"not a voice configuration: {type(error).__name__}: {error}") from error
        if kind != "espeak":
            raise VoiceError(path, f"phoneme_type is {kind!r}, only 'espeak' is supported")
        missing = [mark for mark in (_PAD, _BOS, _EOS) if mark not in config.phoneme_ids]
        if missing:
            raise VoiceError(path, f"phoneme_id_map lacks {missing}")
        return config


@dataclass(frozen=True, slots=True)
class Encoded:
    """An utterance before its decoder. `shared` is what flow and decoder read besides.

    `frames_per_id` (shape (n,)) is how long each phoneme id lasts; None where the graph does not tell.
    """

    z_p: Samples
    shared: Mapping[str, Samples]
    frames_per_id: NDArray[np.int64] | None

    @property
    def num_frames(self) -> int:
        """Return the utterance's length in frames."""
        return int(self.z_p.shape[-1])


class Runner:
    """One part of the voice, loaded."""

    def __init__(self, part: Part, *, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Every utterance has shapes of its own: remembering a memory plan for each only grows.
        options.enable_mem_pattern = False
        # A spinning pool would take the cores from the other stages between two chunks.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(part.model, options, providers=["CPUExecutionProvider"])
        self.inputs, self.outputs = part.inputs, part.outputs

    def run(self, feed: Mapping[str, NDArray[np.generic]]) -> dict[str, Samples]:
        """Return the outputs by name."""
        return dict(zip(self.outputs, self._session.run(list(self.outputs), dict(feed)), strict=True))

    def window(self, encoded: Encoded, values: Mapping[str, Samples], low: int, high: int) -> Samples:
        """Return the first output for frames [low, high) of the utterance; `values` is the main input."""
        feed = {}
        for name in self.inputs:
            whole = values[name] if name in values else encoded.shared[name]
            # A speaker embedding has one frame for all and passes whole.
            feed[name] = whole[..., low:high] if name in values or whole.shape[-1] == encoded.num_frames else whole
        return self.run(feed)[self.outputs[0]]


class Voice:
    """A loaded voice. One caller at a time."""

    def __init__(self, model: Path, *, threads: int) -> None:
        """Load `model` and the `.json` beside it. Raises VoiceError."""
        self.config = VoiceConfig.read(model.with_name(model.name + ".json"))
        graph = split_voice(model)
        self.cuts = graph.cuts
        self._front = Runner(graph.front, threads=FRONT_THREADS)
        self._flow = Runner(graph.flow, threads=threads)
        self._decoder = Runner(graph.decoder, threads=threads)

    @property
    def hop(self) -> int:
        """Return the samples a frame becomes."""
        return self.cuts.hop

    def ids(self, phonemes: Sequence[str]) -> tuple[list[int], list[int]]:
        """Return the phoneme ids, padded as the voice was trained, and where each phoneme begins in them.

        One more start than phonemes: the last is where the end mark begins. Unknown phonemes take no id.
        """
        table = self.config.phoneme_ids
        ids = [*table[_BOS], *table[_PAD]]
        starts = []
        for phoneme in phonemes:
            starts.append(len(ids))
            if phoneme in table:
                ids += [*table[phoneme], *table[_PAD]]
        starts.append(len(ids))
        ids += table[_EOS]
        return ids, starts

    def encode(self, ids: Sequence[int], *, speed: float) -> Encoded:
        """Run the front end; `speed` 1.0 is the voice's own rate."""
        config = self.config
        feed: dict[str, NDArray[np.generic]] = {
            "input": np.array([ids], dtype=np.int64),
            "input_lengths": np.array([len(ids)], dtype=np.int64),
            "scales": np.array([config.noise_scale, config.length_scale / speed, config.noise_w], dtype=np.float32),
            "sid": np.zeros(1, dtype=np.int64),  # read by voices of several speakers: the first one speaks
        }
        named = self._front.run({name: feed[name] for name in self._front.inputs})
        z_p = named.pop(self.cuts.z_p)
        durations = None if self.cuts.durations is None else named[self.cuts.durations].ravel().astype(np.int64)
        return Encoded(z_p, named, durations)

    def decode(self, encoded: Encoded) -> "DecoderWindow":
        """Return the utterance's samples, made as they are asked for."""
        return DecoderWindow(self.cuts, self._flow, self._decoder, encoded)


class DecoderWindow:
    """Makes samples of an utterance range by range, equal to those of one run over all of it.

    Each run reads as many frames around its range as the kernels reach, and what it makes of these
    is cropped. The equality is tested to 1e-5 of full scale.
    """

    def __init__(self, cuts: Cuts, flow: Runner, decoder: Runner, encoded: Encoded) -> None:
        self._cuts = cuts
        self._flow = flow
        self._decoder = decoder
        self._encoded = encoded
        self._z = np.empty((1, encoded.z_p.shape[1], 0), dtype=np.float32)

    def samples(self, begin: int, end: int) -> Samples:
        """Return the samples of frames [begin, end)."""
        reach, hop, last = self._cuts.decoder_reach, self._cuts.hop, self._encoded.num_frames
        low, high = max(0, begin - reach), min(last, end + reach)
        self._extend(high)
        audio = self._decoder.window(self._encoded, {self._cuts.z: self._z}, low, high)
        cropped: Samples = audio.reshape(-1)[(begin - low) * hop : (end - low) * hop]
        return cropped

    def _extend(self, end: int) -> None:
        """Run the flow so that z is known up to frame `end`."""
        ready = self._z.shape[-1]
        if ready >= end:
            return
        last, reach = self._encoded.num_frames, self._cuts.flow_reach
        # The first range is wanted at once and alone; later ones share a longer run.
        until = end if ready == 0 else min(last, max(end, ready + FLOW_BLOCK_FRAMES))
        low, high = max(0, ready - reach), min(last, until + reach)
        z = self._flow.window(self._encoded, {self._cuts.z_p: self._encoded.z_p}, low, high)
        self._z = np.concatenate([self._z, z[..., ready - low : until - low]], axis=-1)
