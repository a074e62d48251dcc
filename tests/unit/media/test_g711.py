"""G.711 against the values of the recommendation's tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicectl.media.g711 import alaw_to_pcm16, pcm16_to_alaw, pcm16_to_ulaw, ulaw_to_pcm16


def pcm(*values: int) -> bytes:
    return np.array(values, dtype="<i2").tobytes()


def samples(encoded: bytes) -> list[int]:
    return np.frombuffer(encoded, dtype="<i2").tolist()


def test_ulaw_decodes_the_decision_values_of_the_recommendation() -> None:
    assert samples(ulaw_to_pcm16(bytes([0x00, 0x80, 0x7F, 0xFF, 0x0F, 0x1F, 0xEF, 0xF0, 0xFE]))) == [
        *(-32124, 32124, 0, 0, -16764, -8316, 132, 120, 8)
    ]


def test_alaw_decodes_the_decision_values_of_the_recommendation() -> None:
    assert samples(alaw_to_pcm16(bytes([0xD5, 0x55, 0xAA, 0x2A, 0xD4, 0x54, 0x80]))) == [
        *(8, -8, 32256, -32256, 24, -24, 5504)
    ]


def test_ulaw_encodes_known_values_and_clips_full_scale() -> None:
    assert pcm16_to_ulaw(pcm(0, 8, -8, 32767, -32768, 1000, -1000)) == bytes([0xFF, 0xFE, 0x7E, 0x80, 0x00, 0xCE, 0x4E])


def test_alaw_encodes_known_values_and_clips_full_scale() -> None:
    assert pcm16_to_alaw(pcm(0, -1, 32767, -32768, 1000, -1000)) == bytes([0xD5, 0x55, 0xAA, 0x2A, 0xFA, 0x7A])


def test_every_code_survives_decoding_and_encoding() -> None:
    codes = bytes(range(256))
    assert pcm16_to_alaw(alaw_to_pcm16(codes)) == codes
    # µ-law has two zeros; the negative one becomes the positive one.
    assert pcm16_to_ulaw(ulaw_to_pcm16(codes)) == codes.replace(b"\x7f", b"\xff")


@given(st.integers(-32768, 32767))
def test_error_stays_below_one_step_of_the_segment(value: int) -> None:
    for there, back in ((pcm16_to_ulaw, ulaw_to_pcm16), (pcm16_to_alaw, alaw_to_pcm16)):
        [decoded] = samples(back(there(pcm(value))))
        assert abs(decoded - value) <= max(16, abs(value) / 16 + 16) or abs(value) > 32124


def test_half_a_sample_is_refused() -> None:
    for encode in (pcm16_to_ulaw, pcm16_to_alaw):
        with pytest.raises(ValueError, match="3 bytes"):
            encode(b"abc")
