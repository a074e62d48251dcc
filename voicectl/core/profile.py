"""What to run on which hardware: the strict schema of `profiles/*.yaml`. Reads no file."""

from pydantic import Field, model_validator

from voicectl.core.sections.access import Access, Tls
from voicectl.core.sections.checkpoints import Checkpoints
from voicectl.core.sections.engine import LlmSettings, SttSettings, TtsSettings
from voicectl.core.sections.governance import Governance
from voicectl.core.sections.hardware import Hardware, Models, Worker
from voicectl.core.sections.integrations import Integrations
from voicectl.core.sections.media import BargeIn, Endpointing, Playout, VadSettings
from voicectl.core.sections.resilience import Breakers, Fallback, Overload
from voicectl.core.sections.section import Section
from voicectl.core.sections.server import Server, Timeouts
from voicectl.core.sections.telemetry import Telemetry
from voicectl.core.sections.webhooks import Webhooks


class Profile(Section):
    """Everything that decides what runs on a host and how."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{0,63}$", description="Name of the profile.", examples=["cpu"])
    description: str = Field(description="One sentence for people.", examples=["Any host with two cores."])
    hardware: Hardware = Field(description="The least hardware.")
    models: Models = Field(description="Models by name.")
    workers: tuple[Worker, ...] = Field(min_length=1, description="Placement of the stages in processes.")
    stt: SttSettings = Field(default=SttSettings(), description="Speech to text.")
    llm: LlmSettings = Field(default=LlmSettings(), description="Language model.")
    tts: TtsSettings = Field(default=TtsSettings(), description="Text to speech.")
    vad: VadSettings = Field(default=VadSettings(), description="Voice activity.")
    endpointing: Endpointing = Field(default=Endpointing(), description="End of a turn.")
    barge_in: BargeIn = Field(default=BargeIn(), description="Interruption.")
    playout: Playout = Field(default=Playout(), description="Pacing of replies.")
    timeouts: Timeouts = Field(default=Timeouts(), description="Waits on the outside world.")
    server: Server = Field(default=Server(), description="The gateway.")
    access: Access = Field(default=Access(), description="Who may use the gateway.")
    tls: Tls = Field(default=Tls(), description="Encrypted connections.")
    overload: Overload = Field(default=Overload(), description="What is left out under load.")
    breakers: Breakers = Field(default=Breakers(), description="When a failing stage is left alone.")
    fallback: Fallback = Field(default=Fallback(), description="What takes the place of a stage that fails.")
    checkpoints: Checkpoints = Field(default=Checkpoints(), description="Conversations that outlive the gateway.")
    webhooks: Webhooks = Field(default=Webhooks(), description="Events for other systems.")
    telemetry: Telemetry = Field(default=Telemetry(), description="Metrics and traces.")
    integrations: Integrations = Field(default=Integrations(), description="Functions and context over HTTP.")
    governance: Governance = Field(default=Governance(), description="Call records.")

    @model_validator(mode="after")
    def _every_stage_is_placed_once(self) -> "Profile":
        placed = [stage for worker in self.workers if not worker.fallback for stage in worker.stages]
        if sorted(placed) != ["llm", "stt", "tts", "turn"]:
            raise ValueError(f"workers must place stt, llm, tts and turn once each, not {placed}")
        stand_ins = [stage for worker in self.workers if worker.fallback for stage in worker.stages]
        if len(set(stand_ins)) != len(stand_ins):
            raise ValueError(f"fallback workers may place a stage once, not {stand_ins}")
        names = [worker.name for worker in self.workers]
        if len(set(names)) != len(names):
            raise ValueError(f"worker names must differ, not {names}")
        return self

    @model_validator(mode="after")
    def _other_models_are_for_fallbacks(self) -> "Profile":
        for worker in self.workers:
            if worker.models and not worker.fallback:
                raise ValueError(f"worker {worker.name} is no fallback: name its models in the section models")
            strays = sorted(set(worker.models) - set(worker.stages))
            if strays:
                raise ValueError(f"worker {worker.name} names models of {', '.join(strays)}, which it does not host")
        return self

    def model_names(self) -> dict[str, str]:
        """Return the models that run, by role: a stage, "vad", or "fallback.STAGE" where a fallback has its own."""
        names: dict[str, str] = self.models.model_dump()
        for worker in self.workers:
            names |= {fallback_role(stage): name for stage, name in worker.models.items()}
        return names


def fallback_role(stage: str) -> str:
    """Return the role of a stage's fallback model."""
    return f"fallback.{stage}"
