"""Settings of the three models."""

from typing import Literal

from pydantic import Field

from voicectl.core.sections.section import Section


class SttSettings(Section):
    """Speech to text."""

    compute_type: str = Field(default="int8", description="CTranslate2 compute type.", examples=["int8"])
    threads: int = Field(default=1, ge=1, description="Threads of one transcription.", examples=[1])
    parallel: int = Field(default=2, ge=1, description="Batches of transcriptions at the same time.", examples=[2])
    max_batch: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Most transcriptions of one batch; more than 2 gains nothing on a CPU.",
        examples=[16],
    )
    linger_ms: int = Field(
        default=0,
        ge=0,
        le=100,
        description="How long a batch that is not full waits for company while another one runs.",
        examples=[5],
    )
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
    hot_sessions: int = Field(
        default=4,
        ge=1,
        le=255,
        description="Sessions in the cache at the same time; more than these are parked or wait.",
        examples=[16],
    )
    cache_tokens: int | None = Field(
        default=None,
        ge=256,
        description="Tokens all sessions together may hold; null is hot_sessions times context_tokens, up to 262144.",
        examples=[8192],
    )
    idle_tokens: int | None = Field(
        default=None,
        ge=0,
        description="Tokens idle sessions may hold before some are parked: on CPUs they slow every step. Null is all.",
        examples=[2048],
    )
    parked_mb: int = Field(
        default=512, ge=0, description="Memory for parked sessions, megabytes; 0 drops them.", examples=[256]
    )
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

    threads: int = Field(default=1, ge=1, description="Threads of one decoder run.", examples=[1])
    parallel: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Decoder runs at the same time, and as many more in the background.",
        examples=[2],
    )
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
