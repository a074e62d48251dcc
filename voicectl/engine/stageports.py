"""Put the ports of the stages together: workers' adapters, their breakers and meters, and what stands in for them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from voicectl.core.clock import Clock
from voicectl.core.errors import EngineError
from voicectl.core.ports import LanguageModel, Synthesizer, Transcriber, TurnDetector
from voicectl.core.profile import Profile
from voicectl.core.sections.hardware import Stage, Worker
from voicectl.engine.adapters import EngineLanguageModel, EngineSynthesizer, EngineTranscriber, EngineTurnDetector
from voicectl.engine.breaker import Breaker, BreakerPolicy
from voicectl.engine.client import WorkerClient
from voicectl.engine.health import EngineHealth, RouteHealth, StageHealth, stage_status
from voicectl.engine.phrases import FallbackSynthesizer, Phrases
from voicectl.engine.probing import (
    Probe,
    probe_language_model,
    probe_synthesizer,
    probe_transcriber,
    probe_turn_detector,
)
from voicectl.engine.resilient import (
    ResilientLanguageModel,
    ResilientSynthesizer,
    ResilientTranscriber,
    ResilientTurnDetector,
)
from voicectl.engine.routes import Route, StageRoutes
from voicectl.engine.simplevoice import SimpleVoice
from voicectl.engine.stageload import LoadGauge
from voicectl.engine.supervisor import WorkerState

PREPARE_TRIES: Final = 10
PREPARE_PAUSE_S: Final = 10.0

T = TypeVar("T")


class StagePorts:
    """The four ports on the workers that are placed; a stage that is not placed has no port."""

    def __init__(
        self, profile: Profile, workers: Sequence[Worker], clients: Mapping[str, WorkerClient], clock: Clock
    ) -> None:
        """Raises ConfigError when `fallback.voice` names no program."""
        self._profile = profile
        self._workers = workers
        self._clients = clients
        self._clock = clock
        self._policy = BreakerPolicy.of(profile.breakers)
        self._all: dict[Stage, StageRoutes[Any]] = {}
        self.probes: list[Probe] = []
        self.phrases = Phrases()
        transcriber = self._routes("stt", _transcriber_on, probe_transcriber)
        detector = self._routes("turn", _turn_detector_on, probe_turn_detector)
        model = self._routes("llm", _language_model_on, probe_language_model)
        voice = self._routes("tts", _synthesizer_on, probe_synthesizer)
        self._transcriber = None if transcriber is None else ResilientTranscriber(transcriber)
        self._turn_detector = None if detector is None else ResilientTurnDetector(detector)
        self._language_model = None if model is None else ResilientLanguageModel(model)
        self._voice = None if voice is None else ResilientSynthesizer(voice)
        self._synthesizer = (
            None if self._voice is None else FallbackSynthesizer(self._voice, self.phrases, _simple_voice(profile))
        )

    @property
    def transcriber(self) -> Transcriber:
        """Speech to text."""
        return _placed("stt", self._transcriber)

    @property
    def turn_detector(self) -> TurnDetector:
        """End of turn by sound."""
        return _placed("turn", self._turn_detector)

    @property
    def language_model(self) -> LanguageModel:
        """Text to text."""
        return _placed("llm", self._language_model)

    @property
    def main_language_model(self) -> LanguageModel:
        """The model that the profile names, and no other: neither a fallback nor another attempt stands in for it."""
        routes: StageRoutes[LanguageModel] | None = self._all.get("llm")
        return _placed("llm", None if routes is None else routes.routes[0].port)

    @property
    def synthesizer(self) -> Synthesizer:
        """Text to speech."""
        return _placed("tts", self._synthesizer)

    def prefer_fallbacks(self, wanted: bool) -> None:
        """Send requests to the fallback workers first, where there are any."""
        for routes in self._all.values():
            routes.prefer_fallback = wanted

    def health(self, workers: Mapping[str, WorkerState]) -> EngineHealth:
        """Return how each stage is, given how the workers are."""
        now = self._clock.now()
        stages: dict[Stage, StageHealth] = {}
        for stage, routes in self._all.items():
            seen = tuple(
                RouteHealth(route.worker, route.is_ready(), route.breaker.snapshot(now)) for route in routes.routes
            )
            stages[stage] = StageHealth(stage, stage_status(seen, workers), seen, routes.gauge.load())
        return EngineHealth(stages, workers)

    async def prepare_phrases(self) -> None:
        """Make the speech of the phrases for when the voice fails, in a few tries."""
        if self._voice is None:
            return
        texts = self._profile.fallback.texts
        for _ in range(PREPARE_TRIES):
            await self.phrases.prepare(
                self._voice, texts, speed=self._profile.tts.speed, timeout_s=self._profile.timeouts.tts_s
            )
            if all(self.phrases.get(text) is not None for text in texts if text.strip()):
                return
            await asyncio.sleep(PREPARE_PAUSE_S)

    def _routes(
        self, stage: Stage, adapter: Callable[[WorkerClient], T], probe: Callable[[T], Any]
    ) -> StageRoutes[T] | None:
        hosts = sorted((worker for worker in self._workers if stage in worker.stages), key=lambda one: one.fallback)
        if not hosts:
            return None
        routes = [self._route(self._clients[worker.name], adapter) for worker in hosts]
        self.probes += [Probe(route, lambda port=route.port: probe(port)) for route in routes]  # type: ignore[misc]
        gauge = LoadGauge(self._profile.overload.window_s, self._clock)
        found = StageRoutes(stage, routes, gauge, self._clock, attempts=self._profile.breakers.attempts)
        self._all[stage] = found
        return found

    def _route(self, client: WorkerClient, adapter: Callable[[WorkerClient], T]) -> Route[T]:
        return Route(client.name, adapter(client), lambda: client.ready, Breaker(self._policy))


def _transcriber_on(client: WorkerClient) -> Transcriber:
    return EngineTranscriber(client)


def _turn_detector_on(client: WorkerClient) -> TurnDetector:
    return EngineTurnDetector(client)


def _language_model_on(client: WorkerClient) -> LanguageModel:
    return EngineLanguageModel(client)


def _synthesizer_on(client: WorkerClient) -> Synthesizer:
    return EngineSynthesizer(client)


def _placed(stage: Stage, port: T | None) -> T:
    if port is None:
        raise EngineError(f"this engine runs without the {stage} stage")
    return port


def _simple_voice(profile: Profile) -> SimpleVoice | None:
    fallback = profile.fallback
    if fallback.voice is None:
        return None
    return SimpleVoice(fallback.voice, language=fallback.voice_language, timeout_s=fallback.voice_timeout_s)
