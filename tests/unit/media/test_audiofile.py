"""Every way a recording can be fine or broken."""

import os
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from voicectl.core.audio import Samples
from voicectl.core.errors import AudioInputError
from voicectl.media.audiofile import read_speech

RATE = 16_000
TONE: Samples = (0.4 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE)).astype(np.float32)


def refused(path: Path, **limits: int) -> AudioInputError:
    with pytest.raises(AudioInputError) as caught:
        read_speech(path, **limits)
    assert str(path) in caught.value.message
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("pcm16.wav", "PCM_16", 1e-4),
        ("pcm8.wav", "PCM_U8", 1e-2),
        ("pcm24.wav", "PCM_24", 1e-6),
        ("float.wav", "FLOAT", 1e-7),
        ("double.wav", "DOUBLE", 1e-7),
        ("ulaw.wav", "ULAW", 2e-2),
        ("speech.flac", "PCM_16", 1e-4),
        ("speech.ogg", "VORBIS", 1e-1),
        ("speech.mp3", "MPEG_LAYER_III", None),
    ],
)
def test_usual_formats_are_read(tmp_path: Path, name: str, subtype: str, tolerance: float | None) -> None:
    path = tmp_path / name
    soundfile.write(path, TONE, RATE, subtype=subtype)
    samples, rate = read_speech(path)
    assert rate == RATE
    assert samples.dtype == np.float32
    if tolerance is None:
        assert samples.size == pytest.approx(RATE, rel=0.2)
    else:
        assert np.max(np.abs(samples - TONE)) < tolerance


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_any_usual_rate_is_read_as_it_is(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", TONE, rate)
    assert read_speech(tmp_path / "a.wav")[1] == rate


def test_stereo_becomes_the_mean_of_its_channels(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack((TONE, np.zeros_like(TONE)), axis=1), RATE, subtype="FLOAT")
    samples, _ = read_speech(tmp_path / "a.wav")
    assert np.allclose(samples, TONE / 2)


def test_float_beyond_full_scale_is_clipped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", TONE * 10, RATE, subtype="FLOAT")
    assert np.max(np.abs(read_speech(tmp_path / "a.wav")[0])) == 1.0


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert refused(tmp_path / "no.wav").reason == "no such file"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path).reason == "is a directory"


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert "regular file" in refused(tmp_path / "pipe.wav").reason


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    assert "empty" in refused(tmp_path / "a.wav").reason


def test_a_recording_of_no_length_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", TONE[:0], RATE)
    assert "no audio" in refused(tmp_path / "a.wav").reason


@pytest.mark.parametrize("num_bytes", [3, 12, 20, 36])
def test_a_header_cut_short_is_refused(tmp_path: Path, num_bytes: int) -> None:
    soundfile.write(tmp_path / "whole.wav", TONE, RATE)
    (tmp_path / "a.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:num_bytes])
    refused(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_data_cut_short_gives_what_is_there(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / name, TONE, RATE)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])
    samples, _ = read_speech(tmp_path / name)
    assert 0 < samples.size < RATE
    assert np.allclose(samples, TONE[: samples.size], atol=1e-4)


@pytest.mark.parametrize("content", [b"hello, this is no audio\n" * 50, b"%PDF-1.7 " + bytes(4096), bytes(5000)])
def test_what_is_no_audio_is_refused_with_the_formats_that_are(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    error = refused(tmp_path / "a.wav")
    assert error.hint is not None
    assert "FLAC" in error.hint


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.wav").open("wb") as file:
        file.truncate(200_000_000)
    assert "200 MB, the limit is 50 MB" in refused(tmp_path / "a.wav").reason


def test_a_small_file_of_endless_silence_is_refused(tmp_path: Path) -> None:
    with soundfile.SoundFile(tmp_path / "a.flac", "w", samplerate=4_000, channels=1, subtype="PCM_16") as file:
        for _ in range(19):
            file.write(np.zeros(400_000, dtype=np.int16))
    assert (tmp_path / "a.flac").stat().st_size < 1_000_000
    assert "longer than 30 minutes" in refused(tmp_path / "a.flac").reason


def test_samples_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.append(TONE, np.float32("nan")), RATE, subtype="FLOAT")
    assert "NaN" in refused(tmp_path / "a.wav").reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_says_why(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", TONE, RATE)
    (tmp_path / "a.wav").chmod(0)
    assert "Permission denied" in refused(tmp_path / "a.wav").reason


def test_absurd_rates_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", TONE, 10)
    assert "10 samples a second" in refused(tmp_path / "a.wav").reason


def test_sound_of_an_mp4_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(TONE[None].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    samples, rate = read_speech(path)
    assert rate == RATE
    assert abs(samples.size - TONE.size) < 4096
    assert np.abs(samples).max() == pytest.approx(np.abs(TONE).max(), rel=0.3)


def test_a_damaged_mp4_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + b"\1" * 500)
    assert "not a readable recording" in refused(tmp_path / "a.m4a").reason
