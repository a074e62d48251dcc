"""Build a bundle with golden audio in the appliance's own voice: the engine speaks, `weights` packs."""

import asyncio
import fcntl
import hashlib
import io
import json
import re
import tempfile
import wave
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from voicectl.core.config import load_profile, packaged_profiles
from voicectl.core.errors import ConfigError, EngineError, UsageError
from voicectl.core.lockfile import LockedModel, read_lock
from voicectl.core.paths import cache_path, store_path
from voicectl.core.profile import Profile
from voicectl.weights.bundle.build import Built, Recipe, build_bundle, checkout
from voicectl.weights.bundle.programs import BuildFailed, run
from voicectl.weights.bundle.targets import find_target
from voicectl.weights.bundle.verify import OnProgress
from voicectl.weights.store import Store

GOLDEN_QUESTION: Final = "What are your opening hours on Saturday?"
_KERNEL: Final = re.compile(r"[0-9][0-9A-Za-z.+~-]{0,63}")
GOLDEN_BOUNDS: Final = {"max_wer": 0.2, "max_reply_wer": 0.5, "min_reply_rms": 0.003, "max_v2v_ms": 5000}
"""What a release may get wrong at most before it is not activated.

Words misheard, words of its own reply misheard, the quietest reply of full scale, and the slowest one on a host that
is still warming up.
"""


def plan_bundle(
    profiles: Sequence[str],
    release: str,
    *,
    serial: int | None,
    min_from_version: str | None,
    apt_sources: dict[str, str],
    driver_kernels: Sequence[str] = (),
) -> Recipe:
    """Return what a bundle of these packaged profiles holds. Raises UsageError or ConfigError."""
    for kernel in driver_kernels:
        if not _KERNEL.fullmatch(kernel):
            raise UsageError(f"{kernel!r} is not the name of a kernel", hint="take what `uname -r` prints on a host")
    packaged = packaged_profiles()
    for name in profiles:
        if name not in packaged:
            raise UsageError(f"{name}: bundles hold packaged profiles only", hint=f"there are {', '.join(packaged)}")
    source = checkout()
    recipe = Recipe(
        source=source,
        target=find_target(release),
        # What this host sets differently has no place on the hosts of others.
        profiles=tuple(load_profile(name, environment={}) for name in dict.fromkeys(profiles)),
        lock=read_lock(),
        serial=_commits(source) if serial is None else serial,
        min_from_version=min_from_version,
        apt_sources=apt_sources,
        driver_kernels=tuple(sorted(set(driver_kernels))),
    )
    if recipe.driver_kernels and not recipe.on_gpu:
        raise UsageError("--driver-for: none of the profiles runs on a GPU")
    return recipe


def make_bundle(
    recipe: Recipe, output: Path, *, on_step: Callable[[str], None], on_progress: OnProgress | None = None
) -> Built:
    """Build the bundle of `recipe` into the folder `output`. Raises what `build_bundle` raises."""
    store, cache = Store(store_path()), cache_path() / "bundle"
    profile = recipe.profiles[0]
    with _alone(cache, on_step):
        on_step("speaking the golden question")
        golden = golden_files(profile, recipe.lock.model(profile.models.tts), store, cache)
        return build_bundle(recipe, store, cache, golden, output, on_step=on_step, on_progress=on_progress)


def golden_files(profile: Profile, voice: LockedModel, store: Store, cache: Path) -> dict[str, bytes]:
    """Return `golden.wav` and `golden.json`: a question in the profile's voice, and what its answer must hold to.

    The voice speaks without its random variation; what it said is kept in `cache`, so that it is said once.
    """
    digests = "".join(file.sha256 for file in voice.files)
    key = hashlib.sha256(f"{GOLDEN_QUESTION}{digests}".encode()).hexdigest()[:12]
    kept = cache / f"golden-{key}.wav"
    if not kept.is_file():
        content = asyncio.run(_spoken(profile, store.verified_root(voice), GOLDEN_QUESTION))
        cache.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(".part")
        fresh.write_bytes(content)
        fresh.replace(kept)
    document: dict[str, Any] = {
        "transcript": GOLDEN_QUESTION,
        "question": GOLDEN_QUESTION,
        "voice": voice.name,
        **GOLDEN_BOUNDS,
    }
    text = json.dumps(document, sort_keys=True, indent=1) + "\n"
    return {"golden.wav": kept.read_bytes(), "golden.json": text.encode()}


@contextmanager
def _alone(cache: Path, on_step: Callable[[str], None]) -> Iterator[None]:
    """Keep other builds from the cache: what one of them fetches, the next one finds."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / ".lock").open("w")
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_step("waiting for another build to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def _spoken(profile: Profile, root: Path, text: str) -> bytes:
    # numpy and the engine take a while to import: only a build needs them.
    from voicectl.core.log import configure
    from voicectl.engine.engine import Engine, EngineOptions

    configure(json=False, level="warning")
    pieces: list[bytes] = []
    rate = 0
    with tempfile.TemporaryDirectory(prefix="voicectl-voice-") as folder:
        _without_chance(root, Path(folder))
        async with Engine(
            profile, {"tts": Path(folder)}, stages=("tts",), options=EngineOptions(standby=False)
        ) as engine:
            chunks = engine.synthesizer.synthesize(text, speed=1.0, timeout_s=profile.timeouts.tts_s)
            async for chunk in chunks:
                pieces.append(chunk.pcm)
                rate = chunk.sample_rate
    if not pieces:
        raise EngineError(f"the voice {profile.models.tts} made no sound of {text!r}")
    return _wav(b"".join(pieces), rate)


def _without_chance(root: Path, folder: Path) -> None:
    """Make `folder` the same voice without random variation."""
    for path in root.iterdir():
        copy = folder / path.name
        if path.suffix == ".json":
            config = json.loads(path.read_text(encoding="utf-8"))
            config.setdefault("inference", {}).update(noise_scale=0.0, noise_w=0.0)
            copy.write_text(json.dumps(config), encoding="utf-8")
        else:
            copy.symlink_to(path)


def _wav(pcm: bytes, rate: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return out.getvalue()


def _commits(source: Path) -> int:
    try:
        return int(run(["git", "-C", source, "rev-list", "--count", "HEAD"], doing="counting the commits"))
    except BuildFailed as error:
        raise UsageError(f"{source}: has no commits to count for a serial", hint="give one with --serial") from error
