"""Questions in the appliance's own voice, made once and kept: the next `talk --ask` starts sooner."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from voicectl.cli.audio_out import write_wav
from voicectl.cli.oneshot import synthesize
from voicectl.core.errors import AudioInputError, UsageError
from voicectl.core.lockfile import read_lock
from voicectl.core.paths import cache_path
from voicectl.media.audiofile import read_speech

if TYPE_CHECKING:
    from voicectl.core.audio import Samples
    from voicectl.core.profile import Profile


async def spoken_question(profile: "Profile", text: str) -> "tuple[Samples, int]":
    """Return `text` in the profile's voice, shape (n,), and its sample rate; from the cache where it is there."""
    path = cached_path(profile, text)
    try:
        return read_speech(path)
    except AudioInputError:
        # Not there, or not whole: both mean that it is made now.
        samples, rate = await synthesize(profile, text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_wav(path, samples, rate)
    except (OSError, UsageError):
        # A cache that cannot be written costs a second next time, nothing else.
        return samples, rate
    return samples, rate


def cached_path(profile: "Profile", text: str) -> Path:
    """Return where the sound of `text` is kept: named by the voice's bytes, its settings and the text."""
    voice = [file.sha256 for file in read_lock().model(profile.models.tts).files]
    key = json.dumps([voice, profile.tts.speed, text])
    return cache_path() / "questions" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.wav"
