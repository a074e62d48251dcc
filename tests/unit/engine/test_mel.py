import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from voicectl.engine.mel import HOP, LogMel


def noise(num_samples: int) -> np.ndarray:
    return (np.random.default_rng(7).standard_normal(num_samples) * 0.1).astype(np.float32)


@pytest.mark.parametrize("num_mels", [80, 128])
@pytest.mark.parametrize(
    ("num_samples", "num_frames"),
    [(1, 1000), (150, 1000), (64_000, 1000), (159_801, 1000), (160_000, 1000), (100_000, 3000), (128_000, 800)],
)
def test_features_equal_faster_whispers_of_the_silence_padded_audio(
    num_mels: int, num_samples: int, num_frames: int
) -> None:
    samples = noise(num_samples)
    padded = np.zeros(num_frames * HOP, dtype=np.float32)
    padded[:num_samples] = samples
    expected = FeatureExtractor(feature_size=num_mels)(padded, padding=0)[:, :num_frames]
    features = LogMel(num_mels)(samples, num_frames)
    assert features.dtype == np.float32
    assert features.flags.c_contiguous
    np.testing.assert_allclose(features, expected, atol=1e-4)


def test_silence_is_the_floor_everywhere() -> None:
    features = LogMel()(np.zeros(0, dtype=np.float32), 1000)
    assert features.shape == (80, 1000)
    np.testing.assert_allclose(features, (-10.0 + 4.0) / 4.0, rtol=1e-6)


def test_audio_longer_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="160001 samples do not fit into 1000 frames"):
        LogMel()(noise(160_001), 1000)
