"""Give a bench's workload its voice: texts in the profile's own voice, made before the run and kept by digest."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from voicectl.bench.workload.preparing import Recording, Sources, prepared
from voicectl.bench.workload.reading import read_workload, workload_path
from voicectl.bench.workload.ready import ReadyWorkload
from voicectl.core.audio import pcm16_to_float
from voicectl.core.errors import AudioInputError, EngineError
from voicectl.core.lockfile import read_lock
from voicectl.core.paths import cache_path
from voicectl.core.profile import Profile
from voicectl.media.audiofile import read_speech

MAKING_TIMEOUT_S: Final = 300.0
"""How long a text may take: nobody waits for it on the phone, and the machine may be busy."""


async def speaking_workload(name_or_path: str, profile: Profile, *, cache: Path | None = None) -> ReadyWorkload:
    """Return a workload by name or path, its texts spoken by the profile's voice on this machine.

    The server that is measured may be anywhere: no voice of its own is asked for. Raises WorkloadError (exit 3)
    for a workload that cannot be used, and what the voice raises where a text must be made: ArtifactMissing
    (exit 5) without its model, EngineError.
    """
    path = await asyncio.to_thread(workload_path, name_or_path)
    file = await asyncio.to_thread(read_workload, path)
    voice = Voice(profile, cache_path() / "speech" if cache is None else cache)
    return await prepared(file, path, Sources(synthesize=voice.speak, read=read_speech))


class Voice:
    """The voice of a profile, without a gateway. A text that it has spoken once is read back from `folder`."""

    def __init__(self, profile: Profile, folder: Path) -> None:
        self._profile = profile
        self._folder = folder

    async def speak(self, texts: Sequence[str]) -> Mapping[str, Recording]:
        """Return the sound of each text; the engine starts only if one of them is new."""
        paths = {text: self._path(text) for text in texts}
        found = await asyncio.to_thread(_kept, paths)
        missing = [text for text in texts if text not in found]
        if missing:
            async for text, recording in self._made(missing):
                await asyncio.to_thread(_keep, paths[text], recording)
                found[text] = recording
        return found

    def _path(self, text: str) -> Path:
        """Return where a text is kept: named by the voice's bytes, its speed and the text."""
        voice = [file.sha256 for file in read_lock().model(self._profile.models.tts).files]
        key = json.dumps([voice, self._profile.tts.speed, text])
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.wav"

    async def _made(self, texts: Sequence[str]) -> AsyncGenerator[tuple[str, Recording], None]:
        # Loaded here: most runs find every text made, and the program behind `serve` takes a second to load.
        from voicectl.engine.engine import Engine, EngineOptions
        from voicectl.service.app import model_roots

        profile = self._profile
        roots = await asyncio.to_thread(model_roots, profile, ["tts"])
        async with Engine(profile, roots, stages=("tts",), options=EngineOptions(standby=False)) as engine:
            for text in texts:
                spoken = engine.synthesizer.synthesize(text, speed=profile.tts.speed, timeout_s=MAKING_TIMEOUT_S)
                chunks = [chunk async for chunk in spoken]
                if not chunks:
                    raise EngineError(f"the voice {profile.models.tts} made no sound of {text!r}")
                yield text, (pcm16_to_float(b"".join(chunk.pcm for chunk in chunks)), chunks[0].sample_rate)


def _kept(paths: Mapping[str, Path]) -> dict[str, Recording]:
    found = {}
    for text, path in paths.items():
        # Not there, or not whole: both mean that it is made now.
        with contextlib.suppress(AudioInputError):
            found[text] = read_speech(path)
    return found


def _keep(path: Path, recording: Recording) -> None:
    samples, rate = recording
    # A cache that cannot be written costs a second next time, nothing else.
    with contextlib.suppress(OSError, soundfile.LibsndfileError):
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        soundfile.write(unfinished, np.clip(samples, -1.0, 1.0), rate, subtype="PCM_16", format="WAV")
        unfinished.replace(path)
