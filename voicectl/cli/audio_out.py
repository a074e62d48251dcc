"""Sound that leaves a command: WAV files and the loudspeaker."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from voicectl.core.audio import Samples
from voicectl.core.errors import AudioDeviceError, UsageError

if TYPE_CHECKING:
    from types import ModuleType


def check_writable(path: Path) -> None:
    """Refuse an output file that could not be written, before any work is done. Raises UsageError."""
    folder = path.parent
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint="--out takes the name of a WAV file")
    if not folder.is_dir():
        raise UsageError(f"{path}: the folder {folder} does not exist")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UsageError(f"{path}: no permission to write there")


def wav_bytes(samples: Samples, rate: int) -> bytes:
    """Return samples, shape (n,) or (n, channels), as a 16-bit WAV file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1, 1), rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """Write a 16-bit WAV file, whole or not at all. Raises UsageError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        partial.write_bytes(wav_bytes(samples, rate))
        partial.replace(path)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)


def sound_devices(hint: str) -> "ModuleType":
    """Return the sounddevice module. Raises AudioDeviceError with `hint` where there is no PortAudio."""
    try:
        import sounddevice
    except OSError as error:
        raise AudioDeviceError(f"no audio system: {error}", hint=hint) from error
    module: ModuleType = sounddevice
    return module


def play(samples: Samples, rate: int) -> None:
    """Play mono samples on the loudspeaker and wait until they are heard. Raises AudioDeviceError."""
    hint = "write a file instead: --out speech.wav"
    devices: Any = sound_devices(hint)
    try:
        devices.play(samples, rate, blocking=True)
    except devices.PortAudioError as error:
        raise AudioDeviceError(f"no loudspeaker: {error}", hint=hint) from error
