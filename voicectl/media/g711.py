"""µ-law and A-law, the codecs of the telephone network, to and from 16-bit PCM (ITU-T G.711)."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]

_SIGN: Final = 0x80
_ULAW_BIAS: Final = 33
_ALAW_MASK: Final = 0x55


def ulaw_to_pcm16(encoded: bytes) -> bytes:
    """Return little-endian 16-bit PCM, two bytes for each µ-law byte."""
    return _expanded(encoded, _ULAW_TO_PCM)


def alaw_to_pcm16(encoded: bytes) -> bytes:
    """Return little-endian 16-bit PCM, two bytes for each A-law byte."""
    return _expanded(encoded, _ALAW_TO_PCM)


def pcm16_to_ulaw(pcm: bytes) -> bytes:
    """Return one µ-law byte for each sample. Raises ValueError on an odd length."""
    return _compressed(pcm, _PCM_TO_ULAW)


def pcm16_to_alaw(pcm: bytes) -> bytes:
    """Return one A-law byte for each sample. Raises ValueError on an odd length."""
    return _compressed(pcm, _PCM_TO_ALAW)


def _expanded(encoded: bytes, table: Pcm) -> bytes:
    pcm: Pcm = table[np.frombuffer(encoded, dtype=np.uint8)]
    return pcm.astype("<i2").tobytes()


def _compressed(pcm: bytes, table: NDArray[np.uint8]) -> bytes:
    if len(pcm) % 2:
        raise ValueError(f"{len(pcm)} bytes are not whole 16-bit samples")
    encoded: NDArray[np.uint8] = table[np.frombuffer(pcm, dtype="<u2")]
    return encoded.tobytes()


def _ulaw_expansion() -> Pcm:
    """Table 2 of G.711: 14-bit values, here scaled to 16 bits."""
    code = ~np.arange(256) & 0xFF
    exponent, mantissa = (code >> 4) & 7, code & 15
    magnitude = ((2 * mantissa + _ULAW_BIAS) << exponent) - _ULAW_BIAS
    return (np.where(code & _SIGN, -magnitude, magnitude) * 4).astype(np.int16)


def _alaw_expansion() -> Pcm:
    """Table 1 of G.711: 13-bit values, here scaled to 16 bits."""
    code = np.arange(256) ^ _ALAW_MASK
    exponent, mantissa = (code >> 4) & 7, code & 15
    magnitude = np.where(exponent == 0, 2 * mantissa + 1, (2 * mantissa + 33) << np.maximum(exponent - 1, 0))
    return (np.where(code & _SIGN, magnitude, -magnitude) * 8).astype(np.int16)


def _ulaw_compression() -> NDArray[np.uint8]:
    """For every 16-bit pattern, the µ-law byte: bias, find the segment, keep four bits, invert."""
    sample = np.arange(65536).astype(np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitude = np.minimum(np.where(sample < 0, -sample, sample), 8158) + _ULAW_BIAS
    exponent = _segment(magnitude >> 6)
    mantissa = (magnitude >> (exponent + 1)) & 15
    code = (exponent << 4) | mantissa | np.where(sample < 0, _SIGN, 0)
    return (~code & 0xFF).astype(np.uint8)


def _alaw_compression() -> NDArray[np.uint8]:
    """For every 16-bit pattern, the A-law byte: find the segment, keep four bits, flip even bits."""
    sample = np.arange(65536).astype(np.uint16).view(np.int16).astype(np.int32) >> 3
    magnitude = np.where(sample < 0, ~sample, sample)
    exponent = _segment(magnitude >> 5)
    mantissa = (magnitude >> np.maximum(exponent, 1)) & 15
    code = (exponent << 4) | mantissa | np.where(sample < 0, 0, _SIGN)
    return ((code ^ _ALAW_MASK) & 0xFF).astype(np.uint8)


def _segment(magnitude: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the bit length of each value: 0 for 0, 1 for 1, 2 for 2 and 3, …"""
    lengths: NDArray[np.int32] = np.searchsorted(2 ** np.arange(8), magnitude, side="right").astype(np.int32)
    return lengths


_ULAW_TO_PCM: Final = _ulaw_expansion()
_ALAW_TO_PCM: Final = _alaw_expansion()
_PCM_TO_ULAW: Final = _ulaw_compression()
_PCM_TO_ALAW: Final = _alaw_compression()
