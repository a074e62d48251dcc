"""Settings of what a profile needs: hardware, models, and where the stages run."""

from typing import Literal

from pydantic import Field

from voicectl.core.sections.section import Section

Stage = Literal["stt", "llm", "tts", "turn"]
Device = Literal["cpu", "cuda"]


class Hardware(Section):
    """The least hardware the profile is made for."""

    cpu_cores: int = Field(ge=1, description="Least number of CPU cores.", examples=[2])
    memory_gb: float = Field(gt=0, description="Least main memory, GB.", examples=[4])
    gpu: str | None = Field(default=None, description="GPU model, or null for none.", examples=["H200"])
    gpu_memory_gb: float | None = Field(default=None, gt=0, description="Least GPU memory, GB.", examples=[24])


class Models(Section):
    """Which models to run, by their names in models.lock."""

    stt: str = Field(description="Speech-to-text model.", examples=["faster-whisper-tiny.en"])
    llm: str = Field(description="Language model.", examples=["smollm2-135m-instruct-q4_1"])
    tts: str = Field(description="Voice.", examples=["piper-en_US-joe-medium"])
    turn: str = Field(description="End-of-turn model.", examples=["smart-turn-v3.2"])
    vad: str = Field(description="Voice activity model.", examples=["silero-vad-v6"])


class Worker(Section):
    """One worker process: the stages it hosts and where they run."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$", description="Name in logs and metrics.", examples=["llm"])
    stages: tuple[Stage, ...] = Field(min_length=1, description="Stages in this process.", examples=[["stt"]])
    device: Device = Field(default="cpu", description="Where the models run.", examples=["cpu"])
    device_index: int = Field(default=0, ge=0, description="Which GPU.", examples=[0])
    niceness: int = Field(
        default=0,
        ge=0,
        le=19,
        description="How far this process stands back when cores are short, as in nice(1).",
        examples=[5],
    )
    fallback: bool = Field(
        default=False,
        description="Whether this process only stands in for the one that its stages are placed in.",
        examples=[True],
    )
    models: dict[Stage, str] = Field(
        default={},
        description="Other models, by names in models.lock, for stages of a fallback.",
        examples=[{"llm": "smollm2-135m-instruct-q4_1"}],
    )
    spare: Literal["none", "started", "loaded"] = Field(
        default="started",
        description="What waits to take a dead process's place: nothing, a started process, or one with its models.",
        examples=["started"],
    )
