"""Read the sound of MP4 files (.m4a, .mp4), as telephones and meeting tools record it. Knows no other format."""

from pathlib import Path
from typing import Final

import av
import numpy as np
from av.audio.resampler import AudioResampler

from voicectl.core.audio import Samples
from voicectl.core.errors import AudioInputError

_BOX_TYPE: Final = slice(4, 8)
_FILE_TYPE_BOX: Final = b"ftyp"


def is_mp4(path: Path) -> bool:
    """Tell from its first box whether a file is MP4. Raises OSError."""
    with path.open("rb") as file:
        return file.read(8)[_BOX_TYPE] == _FILE_TYPE_BOX


def read_mp4(path: Path, *, max_s: float) -> tuple[Samples, int]:
    """Return the first sound track as mono samples, shape (n,), and its rate in Hz. Raises AudioInputError."""
    blocks: list[Samples] = []
    seconds = 0.0
    try:
        with av.open(str(path), format="mp4") as container:
            if not container.streams.audio:
                raise AudioInputError(path, "has no sound track", hint="give a recording with sound")
            track = container.streams.audio[0]
            rate = track.rate
            resampler = AudioResampler(format="flt", layout="mono", rate=rate)
            for decoded in container.decode(track):
                for frame in resampler.resample(decoded):
                    blocks.append(frame.to_ndarray()[0].astype(np.float32))
                seconds += decoded.samples / rate
                if seconds > max_s:
                    raise AudioInputError(path, f"is longer than {max_s / 60:.0f} minutes", hint="cut the recording")
    except av.FFmpegError as error:
        if not blocks:
            reason = f"not a readable recording ({error.strerror or error})"
            raise AudioInputError(path, reason, hint="record it again, or convert it to WAV") from error
        # The file ends inside its data: what was read before is speech all the same.
    return (np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)), rate
