"""Voice activity without its model: levels, and models that are none."""

from pathlib import Path

import numpy as np
import pytest

from voicectl.core.errors import ArtifactMissing, IntegrityError
from voicectl.media.vad import SILENCE_DBFS, VoiceActivityDetector, level_dbfs


def test_levels_are_relative_to_full_scale() -> None:
    assert level_dbfs(np.ones(512, dtype=np.float32)) == pytest.approx(0.0)
    assert level_dbfs(np.full(512, 0.1, dtype=np.float32)) == pytest.approx(-20.0, abs=0.01)
    assert level_dbfs(np.zeros(512, dtype=np.float32)) == SILENCE_DBFS
    assert level_dbfs(np.zeros(0, dtype=np.float32)) == SILENCE_DBFS


def test_a_folder_without_a_model_is_missing_one(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match=r"no \.onnx file"):
        VoiceActivityDetector(tmp_path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vad.onnx").write_bytes(b"not a model")
    with pytest.raises(IntegrityError, match=r"vad\.onnx: not a readable model"):
        VoiceActivityDetector(tmp_path)
