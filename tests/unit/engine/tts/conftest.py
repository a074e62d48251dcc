"""A voice small enough for unit tests: random weights, the shape of a Piper voice."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

CHANNELS = 4
FRAMES_PER_ID = 3
HOP = 4
SYMBOLS = "_^$ .,abcdefgh"


def _weights(speakers: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.5, shape).astype(np.float32)

    return {
        "emb": normal(len(SYMBOLS), CHANNELS),
        "speakers": normal(max(1, speakers), CHANNELS, 1),
        "flow_w": normal(CHANNELS, CHANNELS, 5),
        "pre_w": normal(CHANNELS, CHANNELS, 7),
        "up_w": normal(CHANNELS, CHANNELS, 8),
        "post_w": normal(1, CHANNELS, 3),
        "zero": np.int64(0),
        "one_at": np.int64(1),
        "last_axis": np.array([-1]),
        "channel_axis": np.array([1]),
        "repeat": np.array([1, 1, 1, FRAMES_PER_ID]),
        "wide": np.array([1, CHANNELS, -1]),
        "short": np.float32(FRAMES_PER_ID - 0.5),
        "nothing": np.float32(0),
        "one": np.float32(1),
    }


def _nodes(speakers: int, *, durations: bool) -> list[NodeProto]:
    def node(op: str, inputs: str, output: str, **attributes: object) -> NodeProto:
        return helper.make_node(op, inputs.split(), [output], **attributes)

    nodes = [
        node("Gather", "scales zero", "noise_scale", axis=0),
        node("Gather", "scales one_at", "length_scale", axis=0),
        node("Gather", "emb input", "embedded", axis=0),
        node("Transpose", "embedded", "x", perm=[0, 2, 1]),
        node("RandomNormalLike", "embedded", "duration_noise", dtype=TensorProto.FLOAT),
        node("ReduceMean", "duration_noise", "noise_mean", axes=[2], keepdims=0),
        node("Mul", "noise_mean nothing", "no_noise"),
        node("Add", "no_noise short", "lengths_raw"),
        node("Ceil" if durations else "Identity", "lengths_raw", "w_ceil"),
        node("Unsqueeze", "x last_axis", "x4"),
        node("Tile", "x4 repeat", "tiled"),
        node("Reshape", "tiled wide", "expanded"),
        node("ReduceMean", "expanded", "mean", axes=[1], keepdims=1),
        node("Mul", "mean nothing", "no_mean"),
        node("Add", "no_mean one", "mask"),
        node("RandomNormalLike", "expanded", "noise", dtype=TensorProto.FLOAT),
        node("Mul", "noise noise_scale", "scaled_noise"),
        node("Add", "expanded scaled_noise", "z_p"),
        node("Conv", "z_p flow_w", "flowed", kernel_shape=[5], pads=[2, 2]),
        node("Tanh", "flowed", "squashed"),
        node("Mul", "squashed mask", "z"),
        node("Conv", "z pre_w", "pre", kernel_shape=[7], pads=[3, 3]),
    ]
    conditioned = "pre"
    if speakers > 1:
        nodes += [node("Gather", "speakers sid", "speaker", axis=0), node("Add", "pre speaker", "with_speaker")]
        conditioned = "with_speaker"
    return [
        *nodes,
        node("LeakyRelu", conditioned, "bent"),
        node("ConvTranspose", "bent up_w", "up", kernel_shape=[8], strides=[HOP], pads=[2, 2]),
        node("LeakyRelu", "up", "bent_up"),
        node("Conv", "bent_up post_w", "post", kernel_shape=[3], dilations=[3], pads=[3, 3]),
        node("Tanh", "post", "samples"),
        node("Unsqueeze", "samples channel_axis", "output"),
    ]


def build_voice(folder: Path, *, speakers: int = 1, durations: bool = True) -> Path:
    """Write a tiny voice and its configuration; return the model's path."""
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, None]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    if speakers > 1:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
    graph = helper.make_graph(
        _nodes(speakers, durations=durations),
        "tiny",
        inputs,
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in _weights(speakers).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    path = folder / "tiny.onnx"
    onnx.save(model, str(path))
    config = {
        "audio": {"sample_rate": 1000},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.6, "length_scale": 1, "noise_w": 0.8},
        "phoneme_id_map": {symbol: [number] for number, symbol in enumerate(SYMBOLS)},
    }
    path.with_name("tiny.onnx.json").write_text(json.dumps(config))
    return path


@pytest.fixture
def tiny_voice(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a tiny voice and returns its path."""
    return lambda **options: build_voice(tmp_path, **options)
