"""Make what no voice says: DTMF, noise, and speech with noise under it. Pure; all randomness is seeded."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.waveform import threshold, window_peaks
from voicectl.bench.workload.schema import NoiseKind
from voicectl.core.audio import Samples

KEY_S: Final = 0.1
GAP_S: Final = 0.08
_KEY_LEVEL: Final = 0.25
"""Amplitude of each of a key's two tones: together −6 dB below full scale."""
_ROWS: Final = (697, 770, 852, 941)
_COLUMNS: Final = (1209, 1336, 1477, 1633)
_KEYS: Final = ("123A", "456B", "789C", "*0#D")
BABBLERS: Final = 6
_FADE_S: Final = 0.005


def dtmf(keys: str) -> Samples:
    """Return the tones of a key sequence (ITU-T Q.23), 24 kHz, shape (n,); each key 100 ms, then 80 ms of nothing."""
    pieces: list[Samples] = []
    at = np.arange(round(KEY_S * RATE_HZ)) / RATE_HZ
    for key in keys:
        row = next(number for number, line in enumerate(_KEYS) if key in line)
        tones = (_ROWS[row], _COLUMNS[_KEYS[row].index(key)])
        sound = sum(_KEY_LEVEL * np.sin(2 * np.pi * tone * at) for tone in tones)
        pieces += [np.asarray(sound, dtype=np.float32), np.zeros(round(GAP_S * RATE_HZ), dtype=np.float32)]
    return np.concatenate(pieces[:-1])


def noise(kind: NoiseKind, num_samples: int, voices: Sequence[Samples], seed: Sequence[int]) -> Samples:
    """Return noise with an RMS of 1, shape (num_samples,).

    Babble is six of the `voices` at once, each from a random place on, some of them backwards; without voices
    it is white noise.
    """
    random = np.random.default_rng(list(seed))
    if kind == "white" or not any(voice.size for voice in voices):
        made = random.standard_normal(num_samples)
    else:
        made = np.zeros(num_samples)
        for _ in range(BABBLERS):
            voice = voices[int(random.integers(len(voices)))]
            speaker = voice[:: -1 if random.random() < 0.5 else 1]
            level = max(active_rms(voice), 1e-6)
            made += np.roll(np.resize(speaker, num_samples), int(random.integers(num_samples))) / level
    rms = float(np.sqrt(np.mean(made**2)))
    scaled: Samples = (made / max(rms, 1e-9)).astype(np.float32)
    return scaled


def active_rms(samples: Samples) -> float:
    """Return the RMS of what is loud in a recording, pauses left out; 0 when nothing is."""
    width = max(1, round(0.02 * RATE_HZ))
    loud = window_peaks(samples, RATE_HZ) > threshold(samples, RATE_HZ)
    whole = samples.size // width * width
    if whole == 0 or not loud.any():
        return float(np.sqrt(np.mean(samples**2))) if samples.size else 0.0
    energy = (samples[:whole].reshape(-1, width) ** 2).mean(axis=1)
    return float(np.sqrt(energy[loud].mean()))


def under(speech: Samples, background: Samples, level: float) -> Samples:
    """Return speech with noise of RMS 1 under it, scaled to `level`, clipped at full scale."""
    mixed: Samples = np.clip(speech + level * background[: speech.size], -1.0, 1.0).astype(np.float32)
    return mixed


def faded(samples: Samples) -> Samples:
    """Return a burst of noise without the clicks at its ends."""
    width = min(round(_FADE_S * RATE_HZ), samples.size // 2)
    shaped = samples.copy()
    ramp = np.linspace(0.0, 1.0, width, dtype=np.float32)
    shaped[:width] *= ramp
    shaped[samples.size - width :] *= ramp[::-1]
    return shaped
