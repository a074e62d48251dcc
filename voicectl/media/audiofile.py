"""Read recordings of people's own making. Knows no model and no wire."""

from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from voicectl.core.audio import Samples
from voicectl.core.errors import AudioInputError
from voicectl.media.mp4 import is_mp4, read_mp4

MAX_FILE_BYTES: Final = 50_000_000
MAX_RECORDING_S: Final = 1800.0
"""Longest recording: a small compressed file can hold days of silence."""
MAX_CHANNELS: Final = 8
MIN_RATE_HZ: Final = 4_000
MAX_RATE_HZ: Final = 384_000

_BLOCK_FRAMES: Final = 4_096
_FORMATS_HINT: Final = (
    "give a WAV, FLAC, OGG, MP3 or M4A file; ffmpeg converts others: ffmpeg -i INPUT -ac 1 OUTPUT.wav"
)


def read_speech(path: Path, *, max_bytes: int = MAX_FILE_BYTES, max_s: float = MAX_RECORDING_S) -> tuple[Samples, int]:
    """Return a recording as mono samples, shape (n,), and its rate in Hz. Channels are averaged.

    A file that ends early gives what is there. Raises AudioInputError.
    """
    _check_file(path, max_bytes)
    try:
        if is_mp4(path):
            samples, rate = read_mp4(path, max_s=max_s)
        else:
            samples, rate = _read(path, max_s)
    except soundfile.LibsndfileError as error:
        raise AudioInputError(path, f"not a readable recording ({_reason(error)})", hint=_FORMATS_HINT) from error
    except OSError as error:
        raise AudioInputError(path, f"cannot be read ({error.strerror or error})") from error
    if samples.size == 0:
        raise AudioInputError(path, "holds no audio: 0 samples", hint="record it again")
    if not np.isfinite(samples).all():
        raise AudioInputError(path, "holds samples that are not numbers (NaN or infinite)", hint=_FORMATS_HINT)
    return np.clip(samples, -1.0, 1.0), rate


def _read(path: Path, max_s: float) -> tuple[Samples, int]:
    with path.open("rb") as file, soundfile.SoundFile(file) as recording:
        _check_header(path, recording)
        return _mono(path, recording, max_s), int(recording.samplerate)


def _check_file(path: Path, max_bytes: int) -> None:
    """Refuse what need not be opened."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        missing = isinstance(error, FileNotFoundError)
        reason = "no such file" if missing else f"cannot be read ({getattr(error, 'strerror', None) or error})"
        raise AudioInputError(path, reason, hint="check the path") from error
    if path.is_dir():
        raise AudioInputError(path, "is a directory", hint="name one recording")
    if not path.is_file():
        raise AudioInputError(path, "is not a regular file", hint="save the recording to a file first")
    if status.st_size == 0:
        raise AudioInputError(path, "is empty (0 bytes)", hint="record it again")
    if status.st_size > max_bytes:
        size, limit = status.st_size / 1e6, max_bytes / 1e6
        raise AudioInputError(
            path, f"is {size:.0f} MB, the limit is {limit:.0f} MB", hint="cut the recording, or give it compressed"
        )


def _check_header(path: Path, recording: soundfile.SoundFile) -> None:
    rate, channels = recording.samplerate, recording.channels
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise AudioInputError(
            path, f"has {rate} samples a second; {MIN_RATE_HZ} to {MAX_RATE_HZ} can be read", hint=_FORMATS_HINT
        )
    if channels > MAX_CHANNELS:
        raise AudioInputError(path, f"has {channels} channels, at most {MAX_CHANNELS} can be read", hint=_FORMATS_HINT)


def _mono(path: Path, recording: soundfile.SoundFile, max_s: float) -> Samples:
    """Read block by block: what a broken header promises is never allocated at once."""
    blocks: list[Samples] = []
    frames_left = round(max_s * recording.samplerate)
    while True:
        try:
            block = recording.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            # The file ends inside its data: what was read before is speech all the same.
            if not blocks:
                raise
            break
        if len(block) == 0:
            break
        blocks.append(block.mean(axis=1, dtype=np.float32))
        frames_left -= len(block)
        if frames_left < 0:
            raise AudioInputError(path, f"is longer than {max_s / 60:g} minutes", hint="cut the recording")
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)


def _reason(error: soundfile.LibsndfileError) -> str:
    return str(error.error_string).rstrip(". ").lower()
