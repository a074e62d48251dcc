"""Cut a VITS voice into front end, flow and decoder by the shape of its graph. Runs no model.

A Piper voice is one ONNX graph: text encoder and durations, noise added to the expanded encoding
(`z_p`), a flow that turns it into `z`, and a HiFi-GAN decoder that upsamples `z` to samples. The
flow and the decoder are convolutions over time, so both can run on a window of frames: outside the
reach of their kernels the result is the one of the whole utterance. Cuts are found by operator
types, never by node names, which differ from export to export.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # protobuf ships no types
from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

from voicectl.core.errors import ConfigError

_DURATION_OP: Final = "Ceil"
_NOISE_OP: Final = "RandomNormalLike"
_UPSAMPLE_OP: Final = "ConvTranspose"


class VoiceError(ConfigError):
    """A voice file is not a Piper voice that voicectl can stream."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path.name}: {reason}", hint="choose a Piper voice (VITS, espeak phonemes) for models.tts")


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of the voice: a serialised model and the names of what it reads and gives."""

    model: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where a voice was cut.

    `z_p` and `z` name the tensors. `flow_reach` and `decoder_reach` are the frames on either side
    that a frame's result depends on; `hop` is the samples a frame becomes. `durations` names the
    frames of each phoneme id; None where the graph does not tell.
    """

    z_p: str
    z: str
    durations: str | None
    flow_reach: int
    decoder_reach: int
    hop: int


@dataclass(frozen=True, slots=True)
class VoiceGraph:
    """A voice in three parts; the front end also gives what the other two read besides `z_p` and `z`."""

    cuts: Cuts
    front: Part
    flow: Part
    decoder: Part


class _Index:
    """Lookups over a graph."""

    def __init__(self, model: ModelProto) -> None:
        graph: GraphProto = model.graph
        self.model = model
        self.nodes: list[NodeProto] = list(graph.node)
        self.initializers = {initializer.name: initializer for initializer in graph.initializer}
        self.inputs = {entry.name: entry for entry in graph.input if entry.name not in self.initializers}
        self.output = graph.output[0].name
        self.producer = {name: node for node in graph.node for name in node.output}
        self.dynamic = self.downstream(self.inputs)

    def first_consumer(self, name: str) -> NodeProto | None:
        return next((node for node in self.nodes if name in node.input), None)

    def downstream(self, names: Iterable[str]) -> set[str]:
        """Return the tensors computed from `names`, those included; relies on ONNX's topological order."""
        reached = set(names)
        for node in self.nodes:
            if any(name in reached for name in node.input):
                reached.update(node.output)
        return reached


def split_voice(path: Path) -> VoiceGraph:
    """Return the three parts of the voice in `path`. Raises VoiceError."""
    try:
        return _split(_Index(onnx.load(str(path))))
    except DecodeError as error:
        raise VoiceError(path, f"not an ONNX model: {error}") from error
    except LookupError as error:
        raise VoiceError(path, f"not a VITS graph: {error}") from error


def _split(index: _Index) -> VoiceGraph:
    z_p, z = _noised(index), _decoder_input(index)
    found = [str(node.output[0]) for node in index.nodes if node.op_type == _DURATION_OP]
    durations = found[0] if len(found) == 1 else None
    flow = _part(index, [z], cut=z_p)
    decoder = _part(index, [index.output], cut=z)
    shared = [name for part in (flow, decoder) for name in part.inputs if name not in {z_p, z}]
    if index.downstream([z_p]).intersection(shared) or index.inputs.keys() & set(shared):
        raise LookupError(f"flow and decoder cannot be cut at {z_p} and {z}, they share {shared}")
    front = _part(index, [z_p, *([durations] if durations else []), *dict.fromkeys(shared)], cut=None)
    flow_reach, _ = _reach(index, z_p, z)
    decoder_reach, hop = _reach(index, z, index.output)
    cuts = Cuts(z_p, z, durations, math.ceil(flow_reach), math.ceil(decoder_reach), hop)
    return VoiceGraph(cuts=cuts, front=front, flow=flow, decoder=decoder)


def _noised(index: _Index) -> str:
    """Return z_p: the first sum after the last noise (the noise before it belongs to the durations)."""
    noises = [node for node in index.nodes if node.op_type == _NOISE_OP]
    node = noises[-1] if noises else None
    while node is not None and node.op_type != "Add":
        node = index.first_consumer(node.output[0])
    if node is None:
        raise LookupError(f"no {_NOISE_OP} followed by an Add")
    return str(node.output[0])


def _decoder_input(index: _Index) -> str:
    """Return z: what the convolution before the first upsampling reads."""
    node = next((node for node in index.nodes if node.op_type == _UPSAMPLE_OP), None)
    if node is None:
        raise LookupError(f"no {_UPSAMPLE_OP}")
    while node.op_type != "Conv":
        node = index.producer[node.input[0]]
    return str(node.input[0])


def _part(index: _Index, outputs: Sequence[str], *, cut: str | None) -> Part:
    """Return the model that computes `outputs`, starting at tensor `cut` (None: at the graph's inputs).

    Tensors that do not come from `cut` but depend on the request become inputs too.
    """
    own = index.dynamic if cut is None else index.downstream([cut])
    inputs = [] if cut is None else [cut]
    needed: set[str] = set()
    pending, seen = list(outputs), set(inputs)
    while pending:
        name = pending.pop()
        if not name or name in seen:
            continue
        seen.add(name)
        if name in index.inputs or (name in index.dynamic and name not in own):
            inputs.append(name)
        elif name in index.producer:
            needed.update(index.producer[name].output)
            pending.extend(index.producer[name].input)
    model = ModelProto(ir_version=index.model.ir_version, opset_import=index.model.opset_import)
    model.graph.name = "part"
    model.graph.node.extend(node for node in index.nodes if needed.intersection(node.output))
    model.graph.initializer.extend(tensor for name, tensor in index.initializers.items() if name in seen)
    for name in inputs:
        # Every tensor at the cuts is float32; a shape is not needed.
        floats = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        model.graph.input.append(index.inputs.get(name, floats))
    model.graph.output.extend(ValueInfoProto(name=name) for name in outputs)
    return Part(model.SerializeToString(), tuple(inputs), tuple(outputs))


def _reach(index: _Index, start: str, end: str) -> tuple[float, int]:
    """Return how many frames of `start` on either side `end` depends on, and its samples a frame.

    The longest path of kernel reaches, each divided by the upsampling before it.
    """
    state: dict[str, tuple[float, int]] = {start: (0.0, 1)}
    for node in index.nodes:
        known = [state[name] for name in node.input if name in state]
        if not known:
            continue
        frames, rate = max(known)
        if node.op_type in {"Conv", _UPSAMPLE_OP}:
            attributes = {entry.name: list(entry.ints) for entry in node.attribute}
            kernel = index.initializers[node.input[1]].dims[-1]
            span = (kernel - 1) * attributes.get("dilations", [1])[-1]
            before = attributes.get("pads", [0])[0]
            widest = max(before, span - before)
            if node.op_type == "Conv":
                frames += widest / rate
            else:
                stride = attributes.get("strides", [1])[-1]
                frames += math.ceil(widest / stride) / rate
                rate *= stride
        state.update(dict.fromkeys(node.output, (frames, rate)))
    return state[end]
