"""A voice is cut by what its operators are, not by what its nodes are called."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from voicectl.engine.tts.graph import VoiceError, split_voice


def test_the_cuts_reaches_and_hop_are_read_from_the_graph(tiny_voice: Callable[..., Path]) -> None:
    graph = split_voice(tiny_voice())
    cuts = graph.cuts
    assert (cuts.z_p, cuts.z, cuts.durations) == ("z_p", "z", "w_ceil")
    assert cuts.flow_reach == 2
    # 3 (kernel 7) + 2 (kernel 8, stride 4) + 3/4 (kernel 3 dilated by 3, four samples a frame)
    assert cuts.decoder_reach == 6
    assert cuts.hop == 4


def test_each_part_reads_what_crosses_its_cut(tiny_voice: Callable[..., Path]) -> None:
    graph = split_voice(tiny_voice(speakers=2))
    assert graph.flow.inputs == ("z_p", "mask")
    assert set(graph.decoder.inputs) == {"z", "speaker"}
    assert set(graph.front.inputs) == {"input", "scales", "sid"}
    assert graph.front.outputs == ("z_p", "w_ceil", "mask", "speaker")


def test_a_voice_without_durations_is_cut_too(tiny_voice: Callable[..., Path]) -> None:
    assert split_voice(tiny_voice(durations=False)).cuts.durations is None


def test_bytes_that_are_not_onnx_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "voice.onnx"
    path.write_bytes(b"\xff\xfe not a model")
    with pytest.raises(VoiceError, match=r"voice\.onnx: not an ONNX model"):
        split_voice(path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "voice.onnx"
    path.touch()
    with pytest.raises(VoiceError, match="not a VITS graph"):
        split_voice(path)


@pytest.mark.parametrize("missing", ["RandomNormalLike", "ConvTranspose"])
def test_a_graph_without_noise_or_upsampling_is_refused(tiny_voice: Callable[..., Path], missing: str) -> None:
    path = tiny_voice()
    model = onnx.load(str(path))
    for node in model.graph.node:
        if node.op_type == missing:
            node.op_type = "Identity"
    onnx.save(model, str(path))
    with pytest.raises(VoiceError, match=missing):
        split_voice(path)
