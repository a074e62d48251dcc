"""What to run on which hardware: the strict schema of `profiles/*.yaml`. Reads no file."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Stage = Literal["stt", "llm", "tts", "turn"]
Device = Literal["cpu", "cuda"]


class Section(BaseModel):
    """A part of a profile: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class SttSettings(Section):
    """Speech to text."""

    compute_type: str = Field(default="int8", description="CTranslate2 compute type.", examples=["int8"])
    threads: int = Field(default=1, ge=1, description="Threads of one transcription.", examples=[1])
    parallel: int = Field(default=2, ge=1, description="Transcriptions at the same time.", examples=[2])
    beam_size: int = Field(default=1, ge=1, le=10, description="Beam width; 1 is greedy.", examples=[1])
    language: str = Field(default="en", description="Spoken language, ISO 639-1.", examples=["en"])
    windows: tuple[int, ...] = Field(
        default=(1000, 1500, 2000, 3000),
        description="Mel windows in frames of 10 ms; the shortest that holds the audio is used.",
        examples=[[1000, 1500, 2000, 3000]],
    )
    max_compression_ratio: float = Field(
        default=2.4, gt=1, description="Above it the text repeats itself: retry at 30 s.", examples=[2.4]
    )
    min_logprob: float = Field(
        default=-1.0, lt=0, description="Mean log-probability below which to retry at 30 s.", examples=[-1.0]
    )
    hotwords: str | None = Field(
        default=None, description="Words to expect, as one text.", examples=["voicectl Kubernetes"]
    )
    partial_interval_s: float = Field(
        default=0.6,
        gt=0,
        description="Seconds between partial transcripts; partials are dropped first.",
        examples=[0.6],
    )


class LlmSettings(Section):
    """Language model."""

    context_tokens: int = Field(default=2048, ge=256, description="Tokens one session may hold.", examples=[2048])
    max_sessions: int = Field(default=4, ge=1, le=255, description="Sessions cached at the same time.", examples=[4])
    threads: int = Field(default=2, ge=1, description="Threads of one step.", examples=[2])
    gpu_layers: int = Field(default=0, ge=-1, description="Layers on the GPU; -1 is all.", examples=[0])
    prefill_tokens: int = Field(default=256, ge=16, description="Prompt tokens a step may take.", examples=[256])
    kv_type: Literal["f16", "q8_0"] = Field(default="f16", description="Type of the KV cache.", examples=["f16"])
    requantise: Literal["q4_0"] | None = Field(
        default=None,
        description="Quantisation to convert the model to at every start, for kernels that are faster on CPUs.",
        examples=["q4_0"],
    )
    temperature: float = Field(default=0.0, ge=0, le=2, description="0 is greedy.", examples=[0.0])
    top_k: int = Field(default=40, ge=1, description="Candidates kept before top-p.", examples=[40])
    top_p: float = Field(default=0.95, gt=0, le=1, description="Probability mass kept.", examples=[0.95])
    seed: int = Field(default=0, ge=0, description="Sampling seed.", examples=[0])
    max_reply_tokens: int = Field(default=64, ge=1, description="Longest reply, tokens.", examples=[64])
    system_prompt: str = Field(
        default="You are a helpful phone agent. Answer in one or two short sentences.",
        description="Instructions before every conversation.",
        examples=["You answer questions about opening hours."],
    )


class TtsSettings(Section):
    """Text to speech."""

    threads: int = Field(default=2, ge=1, description="Threads of one decoder run.", examples=[2])
    speed: float = Field(
        default=1.0, ge=0.25, le=1.5, description="Speaking rate; 1 is the voice's own.", examples=[1.0]
    )
    first_chunk_frames: int = Field(
        default=40, ge=8, description="Decoder frames in the first chunk; fewer is sooner.", examples=[40]
    )
    chunk_frames: int = Field(default=120, ge=8, description="Decoder frames in later chunks.", examples=[120])
    first_clause_words: int = Field(
        default=3, ge=1, description="Words after which punctuation ends the first clause.", examples=[3]
    )


class VadSettings(Section):
    """Voice activity."""

    start_threshold: float = Field(
        default=0.5, gt=0, lt=1, description="Speech probability that begins speech.", examples=[0.5]
    )
    stop_threshold: float = Field(
        default=0.35, gt=0, lt=1, description="Speech probability that ends speech.", examples=[0.35]
    )
    min_speech_ms: int = Field(default=96, ge=32, description="Shorter speech is noise.", examples=[96])
    prefix_ms: int = Field(default=300, ge=0, description="Audio kept from before speech began.", examples=[300])


class Endpointing(Section):
    """When a pause is the end of a turn. The decision is `voicectl/media/endpointing.py`."""

    hesitation_ms: int = Field(default=100, ge=32, description="Pause after which a reply is prepared.", examples=[100])
    turn_taking_ms: int = Field(
        default=300, ge=100, description="Pause that ends a turn that sounds complete.", examples=[300]
    )
    doubt_ms: int = Field(
        default=550,
        ge=100,
        description="Pause that ends a turn whose words are complete but whose sound is not.",
        examples=[550],
    )
    completion_ms: int = Field(default=800, ge=200, description="Pause that ends a turn that does not.", examples=[800])
    patience_ms: int = Field(
        default=1500,
        ge=200,
        description="Pause that ends a turn whose last words announce more: 'and', 'um', a group of digits.",
        examples=[1500],
    )
    complete_probability: float = Field(
        default=0.5, gt=0, lt=1, description="End-of-turn probability that sounds complete.", examples=[0.5]
    )
    max_turn_s: float = Field(default=60.0, gt=0, description="A longer turn is committed as it is.", examples=[60.0])

    @model_validator(mode="after")
    def _thresholds_rise(self) -> "Endpointing":
        if not self.hesitation_ms < self.turn_taking_ms < self.completion_ms:
            raise ValueError("hesitation_ms < turn_taking_ms < completion_ms must hold")
        if not self.turn_taking_ms <= self.doubt_ms <= self.completion_ms <= self.patience_ms:
            raise ValueError("turn_taking_ms <= doubt_ms <= completion_ms <= patience_ms must hold")
        return self


class BargeIn(Section):
    """When a caller who speaks over the agent stops it."""

    enabled: bool = Field(default=True, description="Whether callers may interrupt.", examples=[True])
    min_speech_ms: int = Field(
        default=200, ge=32, description="Speech over the agent that stops it at the latest.", examples=[200]
    )
    backchannels: tuple[str, ...] = Field(
        default=(
            "uh-huh",
            "uh huh",
            "mm-hmm",
            "mm hmm",
            "mhm",
            "hm",
            "hmm",
            "yeah",
            "yes",
            "okay",
            "ok",
            "right",
            "i see",
            "sure",
        ),
        description="Short utterances that do not interrupt.",
        examples=[["uh-huh", "mhm"]],
    )
    backchannel_max_ms: int = Field(
        default=900, ge=0, description="Longest speech taken for a backchannel.", examples=[900]
    )


class Playout(Section):
    """How replies are paced."""

    lead_ms: int = Field(default=60, ge=0, le=1000, description="Audio sent ahead of its playing time.", examples=[60])


class Timeouts(Section):
    """How long to wait for the outside world, seconds."""

    stt_s: float = Field(default=10.0, gt=0, description="One transcription.", examples=[10.0])
    llm_s: float = Field(default=30.0, gt=0, description="One reply.", examples=[30.0])
    tts_s: float = Field(default=30.0, gt=0, description="One clause.", examples=[30.0])
    turn_s: float = Field(default=2.0, gt=0, description="One end-of-turn decision.", examples=[2.0])
    worker_start_s: float = Field(default=60.0, gt=0, description="A worker's models to load.", examples=[60.0])
    idle_session_s: float = Field(
        default=600.0, gt=0, description="A session without audio or events.", examples=[600.0]
    )
    drain_s: float = Field(default=10.0, ge=0, description="Live sessions after SIGTERM.", examples=[10.0])


class Server(Section):
    """The gateway."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.", examples=["127.0.0.1"])
    port: int = Field(
        default=8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.", examples=[8080]
    )
    max_message_bytes: int = Field(
        default=1_000_000, ge=1024, description="Largest WebSocket message.", examples=[1000000]
    )
    max_sessions: int = Field(default=4, ge=1, description="Calls at the same time.", examples=[4])
    queue_depth: int = Field(default=100, ge=1, description="Bound of every queue.", examples=[100])
    stall_s: float = Field(
        default=5.0, gt=0, description="How long a client may not read, or a call not listen, seconds.", examples=[5.0]
    )
    hangup_s: float = Field(
        default=2.0, gt=0, description="Time a call has to wind up once its caller left, seconds.", examples=[2.0]
    )


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

    @model_validator(mode="after")
    def _every_stage_is_placed_once(self) -> "Profile":
        placed = [stage for worker in self.workers for stage in worker.stages]
        if sorted(placed) != ["llm", "stt", "tts", "turn"]:
            raise ValueError(f"workers must place stt, llm, tts and turn once each, not {placed}")
        names = [worker.name for worker in self.workers]
        if len(set(names)) != len(names):
            raise ValueError(f"worker names must differ, not {names}")
        return self
