"""Composition root: verified models, the engine, and the gateway that opens calls on it."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from voicectl.core.clock import Clock, MonotonicClock
from voicectl.core.lockfile import read_lock
from voicectl.core.paths import store_path
from voicectl.core.profile import Profile
from voicectl.engine.engine import Engine
from voicectl.media.endpointing import Endpointer
from voicectl.media.listening import Listener
from voicectl.media.vad import VoiceActivityDetector
from voicectl.service.call import Call, CallEngine
from voicectl.service.http import create_app
from voicectl.service.lifecycle import serve
from voicectl.weights.store import Store


def model_roots(profile: Profile, roles: Collection[str] | None = None) -> dict[str, Path]:
    """Return the folders of a profile's models by role, all or some, after their digests were checked.

    Raises ChecksumMismatch (exit 4) or ArtifactMissing (exit 5).
    """
    lock = read_lock()
    store = Store(store_path())
    names = profile.models.model_dump()
    wanted = names if roles is None else roles
    return {role: store.verified_root(lock.model(names[role])) for role in wanted}


class Gateway:
    """Opens calls on a running engine."""

    def __init__(self, profile: Profile, engine: Engine, vad: Path, clock: Clock) -> None:
        self._profile = profile
        self._engine = engine
        self._vad = vad
        self._clock = clock

    @property
    def model_name(self) -> str:
        """The language model's name, as clients see it."""
        return self._profile.models.llm

    def ready(self) -> bool:
        """Whether every stage can take requests."""
        return all(state == "ready" for state in self.stages().values())

    def stages(self) -> Mapping[str, str]:
        """Return the state of each worker."""
        return {name: state.state for name, state in self._engine.states().items()}

    def open_conversation(self, session_id: str) -> Call:
        """Return a new call."""
        profile = self._profile
        listener = Listener(VoiceActivityDetector(self._vad), Endpointer(profile.endpointing, profile.vad), profile.vad)
        engine = CallEngine(
            self._engine.transcriber,
            self._engine.turn_detector,
            self._engine.language_model,
            self._engine.synthesizer,
        )
        return Call(session_id, profile, engine, listener, self._clock)


async def serve_forever(profile: Profile, *, on_ready: Callable[[str], None]) -> None:
    """Run the appliance until SIGTERM or SIGINT; `on_ready` gets the base URL once it takes calls."""
    roots = await asyncio.to_thread(model_roots, profile)
    # Loaded once a process; the first caller must not wait for it.
    await asyncio.to_thread(VoiceActivityDetector, roots["vad"])
    async with Engine(profile, roots) as engine:
        clock = MonotonicClock()
        gateway = Gateway(profile, engine, roots["vad"], clock)
        app = create_app(gateway, profile, clock=clock)
        await serve(
            app, profile.server.host, profile.server.port, on_started=on_ready, drain_s=profile.timeouts.drain_s
        )
