"""Output files are refused early, written whole, and never left half."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voicectl.cli.audio_out import check_writable, wav_bytes, write_wav
from voicectl.core.errors import UsageError


def test_file_appears_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    write_wav(path, np.full((100, 2), 0.5, dtype=np.float32), 24_000)
    assert list(tmp_path.iterdir()) == [path]
    samples, rate = soundfile.read(path)
    assert (samples.shape, rate) == ((100, 2), 24_000)


def test_loud_samples_are_clipped_not_wrapped() -> None:
    samples, _ = soundfile.read(io.BytesIO(wav_bytes(np.array([2.0, -2.0], dtype=np.float32), 8_000)))
    assert samples == pytest.approx([1.0, -1.0], abs=1e-3)


def test_impossible_place_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(UsageError, match="does not exist"):
        check_writable(tmp_path / "none" / "a.wav")
    check_writable(tmp_path / "a.wav")


def test_failed_write_is_a_usage_error_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "call.wav"
    target.mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        write_wav(target, np.zeros(10, dtype=np.float32), 8_000)
    assert list(tmp_path.iterdir()) == [target]
