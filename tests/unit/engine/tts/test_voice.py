"""Windows of the decoder add up to one run over everything."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voicectl.engine.tts.graph import VoiceError
from voicectl.engine.tts.voice import Voice


@pytest.mark.parametrize("speakers", [1, 3])
@pytest.mark.parametrize("size", [1, 5, 17, 100])
def test_windows_equal_the_whole(tiny_voice: Callable[..., Path], speakers: int, size: int) -> None:
    voice = Voice(tiny_voice(speakers=speakers), threads=1)
    ids, _ = voice.ids("abc hgf abc")
    encoded = voice.encode(ids, speed=1.0)
    last = encoded.num_frames
    whole = voice.decode(encoded).samples(0, last)
    decoder = voice.decode(encoded)
    pieces = [decoder.samples(begin, min(begin + size, last)) for begin in range(0, last, size)]
    assert len(whole) == last * voice.hop
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_ids_are_padded_and_unknown_phonemes_take_none(tiny_voice: Callable[..., Path]) -> None:
    voice = Voice(tiny_voice(), threads=1)
    ids, starts = voice.ids("a☃b")
    assert ids == [1, 0, 6, 0, 7, 0, 2]
    assert starts == [2, 4, 4, 6]


def test_durations_are_frames_of_each_id(tiny_voice: Callable[..., Path]) -> None:
    voice = Voice(tiny_voice(), threads=1)
    encoded = voice.encode([1, 0, 6, 0, 2], speed=1.0)
    assert encoded.frames_per_id is not None
    assert encoded.frames_per_id.tolist() == [3, 3, 3, 3, 3]
    assert encoded.num_frames == 15


def test_a_configuration_of_another_kind_is_refused(tiny_voice: Callable[..., Path]) -> None:
    path = tiny_voice()
    settings = path.with_name("tiny.onnx.json")
    config = json.loads(settings.read_text())
    for change, message in (
        ({"phoneme_type": "pinyin"}, "phoneme_type is 'pinyin'"),
        ({"phoneme_id_map": {"a": [1]}}, "phoneme_id_map lacks"),
        ({"audio": {}}, "not a voice configuration: KeyError"),
    ):
        settings.write_text(json.dumps(config | change))
        with pytest.raises(VoiceError, match=message):
            Voice(path, threads=1)
    settings.write_text("[]")
    with pytest.raises(VoiceError, match="not a voice configuration"):
        Voice(path, threads=1)
    settings.unlink()
    with pytest.raises(VoiceError, match="FileNotFoundError"):
        Voice(path, threads=1)
