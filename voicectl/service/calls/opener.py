"""Opens calls on a running engine. The gateway that HTTP talks to."""

from collections.abc import Mapping
from pathlib import Path
from weakref import WeakSet

from voicectl.core.checkpoint import ConversationState
from voicectl.core.clock import Clock
from voicectl.core.ports import LanguageModel, Purpose, Synthesizer, Transcriber
from voicectl.core.profile import Profile
from voicectl.core.rollout import Admitted, Refused, Rollout
from voicectl.engine.engine import Engine
from voicectl.media.endpointing import Endpointer
from voicectl.media.listening import Listener
from voicectl.media.vad import VoiceActivityDetector
from voicectl.service.calls.call import Call, CallEngine, CallServices
from voicectl.service.checkpoints.keeper import CheckpointKeeper
from voicectl.service.load.admission import Admission
from voicectl.service.load.overload import LoadSample, Stance


class CallOpener:
    """Opens calls on a running engine, and has them all do with less while the load is high."""

    def __init__(
        self,
        profile: Profile,
        engine: Engine,
        vad: Path,
        clock: Clock,
        *,
        admission: Admission,
        rollout: Rollout,
        services: CallServices | None = None,
        keeper: CheckpointKeeper | None = None,
    ) -> None:
        self._profile = profile
        self._engine = engine
        self._vad = vad
        self._clock = clock
        self._admission = admission
        self._rollout = rollout
        self._services = services or CallServices()
        self._keeper = keeper
        self._calls: WeakSet[Call] = WeakSet()
        self._stance = Stance()
        self._loaded = False

    @property
    def profile(self) -> Profile:
        """The profile that runs."""
        return self._profile

    @property
    def model_name(self) -> str:
        """The language model's name, as clients see it."""
        return self._profile.models.llm

    @property
    def transcriber(self) -> Transcriber:
        """Speech to text."""
        return self._engine.transcriber

    @property
    def language_model(self) -> LanguageModel:
        """Text to text."""
        return self._engine.language_model

    @property
    def synthesizer(self) -> Synthesizer:
        """Text to speech."""
        return self._engine.synthesizer

    def admit(self, use_case: str) -> Admitted | Refused:
        """Return whether a call of this use case may be taken, and in which risk tier."""
        return self._rollout.admit(use_case)

    def open(self) -> None:
        """Let new calls in: the models are loaded."""
        self._loaded = True

    def ready(self) -> bool:
        """Whether new calls make sense: every stage answers now, or in a moment."""
        return self._loaded and self._engine.health().serving

    def resuming(self) -> bool:
        """Whether broken-off calls may come back; what they ask of models that still load waits for them."""
        return self._engine.health().serving

    def stages(self) -> Mapping[str, str]:
        """Return the state of each stage."""
        return {stage: health.status for stage, health in self._engine.health().stages.items()}

    def open_conversation(
        self,
        session_id: str,
        *,
        owner: str | None,
        attributes: Mapping[str, str],
        state: ConversationState | None,
        purpose: Purpose,
    ) -> Call:
        """Return a call; with `state` it goes on where that was saved."""
        profile = self._profile
        listener = Listener(VoiceActivityDetector(self._vad), Endpointer(profile.endpointing, profile.vad), profile.vad)
        engine = CallEngine(self.transcriber, self._engine.turn_detector, self.language_model, self.synthesizer)
        call = Call(
            session_id,
            profile,
            engine,
            listener,
            self._clock,
            services=self._services,
            owner=owner,
            attributes=attributes,
            resumed=state,
            purpose=purpose,
        )
        self._calls.add(call)
        if self._stance.measures.level:
            call.apply(self._stance.measures)
        return call

    async def saved(self, session_id: str, owner: str | None) -> ConversationState | None:
        """Return the conversation of an earlier session, None when it is unknown, too old or somebody else's."""
        return None if self._keeper is None else await self._keeper.load(session_id, owner)

    def load(self, loop_lag_ms: float) -> LoadSample:
        """Return how busy everything is."""
        stages = {stage: health.load for stage, health in self._engine.health().stages.items()}
        return LoadSample(stages, loop_lag_ms, len(self._admission), self._admission.num_waiting)

    def take_stance(self, stance: Stance) -> None:
        """Do with less, or with all again: live calls, the engine, and the door for new calls."""
        self._stance = stance
        self._admission.set_door(stance.door)
        self._engine.prefer_fallbacks(stance.measures.smaller_model)
        for call in list(self._calls):
            call.apply(stance.measures)
