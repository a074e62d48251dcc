"""Settings of overload and failure: the ladder of measures, circuit breakers, fallbacks."""

from pydantic import Field, model_validator

from voicectl.core.sections.section import Section


class Overload(Section):
    """What is left out under load, and when.

    Load is told by how late the stages answer and how late the event loop is. Each step lasts at least
    `settle_s`; steps are taken one by one while the load is high and given back one by one while it is low.
    """

    enabled: bool = Field(default=True, description="Whether less is offered under load.", examples=[True])
    sample_ms: int = Field(default=250, ge=20, description="Time between two looks at the load.", examples=[250])
    window_s: float = Field(default=10.0, gt=0, description="How far back latencies count, seconds.", examples=[10.0])
    settle_s: float = Field(default=1.0, ge=0, description="Least time between two steps up, seconds.", examples=[1.0])
    recover_s: float = Field(
        default=5.0, ge=0, description="Time of low load before a step is given back, seconds.", examples=[5.0]
    )
    low_ratio: float = Field(
        default=0.6,
        gt=0,
        lt=1,
        description="Load is low below this part of the thresholds; between the two nothing changes.",
        examples=[0.6],
    )
    stt_s: float = Field(
        default=0.8, gt=0, description="Transcription time (90 % of them) above which load is high.", examples=[0.8]
    )
    llm_s: float = Field(
        default=1.0, gt=0, description="Time to a reply's first words above which load is high.", examples=[1.0]
    )
    tts_s: float = Field(
        default=1.0, gt=0, description="Time to a clause's first sound above which load is high.", examples=[1.0]
    )
    turn_s: float = Field(
        default=0.6, gt=0, description="Time of an end-of-turn decision above which load is high.", examples=[0.6]
    )
    loop_lag_ms: float = Field(
        default=50.0, gt=0, description="Lateness of the event loop above which load is high.", examples=[50.0]
    )
    open_requests: int = Field(
        default=50, ge=1, description="Open requests of a stage above which load is high.", examples=[50]
    )
    partial_interval_factor: float = Field(
        default=3.0, ge=1, description="By how much partial transcripts become rarer.", examples=[3.0]
    )
    reply_tokens_factor: float = Field(
        default=0.5, gt=0, le=1, description="Part of a reply's length that is left under load.", examples=[0.5]
    )
    waiting_sessions: int = Field(
        default=8, ge=0, description="New sessions that may wait for a place under load.", examples=[8]
    )
    waiting_s: float = Field(
        default=5.0, ge=0, description="How long a new session waits before it is refused, seconds.", examples=[5.0]
    )


class Breakers(Section):
    """When a failing stage is left alone for a while, and how often a request is tried."""

    failures: int = Field(default=3, ge=1, description="Failures in a row that open a breaker.", examples=[3])
    failure_rate: float = Field(
        default=0.5, gt=0, le=1, description="Part of recent requests whose failure opens a breaker.", examples=[0.5]
    )
    min_requests: int = Field(
        default=10, ge=2, description="Recent requests from which on that part counts.", examples=[10]
    )
    window_s: float = Field(default=30.0, gt=0, description="What is recent, seconds.", examples=[30.0])
    open_s: float = Field(
        default=1.0, gt=0, description="Time until a probe after a breaker opened, seconds.", examples=[1.0]
    )
    max_open_s: float = Field(
        default=30.0, gt=0, description="Longest time between probes, which double it, seconds.", examples=[30.0]
    )
    attempts: int = Field(
        default=3,
        ge=1,
        le=10,
        description="How often a request is tried whose worker dies; a request may be what kills it.",
        examples=[3],
    )
    worker_wait_s: float = Field(
        default=10.0, gt=0, description="How long a request waits for a worker that restarts, seconds.", examples=[10.0]
    )
    retry_start_s: float = Field(
        default=30.0, gt=0, description="Time between starts of a worker that often failed to start.", examples=[30.0]
    )

    @model_validator(mode="after")
    def _longest_is_longest(self) -> "Breakers":
        if self.max_open_s < self.open_s:
            raise ValueError("open_s <= max_open_s must hold")
        return self


class Fallback(Section):
    """What is said and used while a stage fails. The texts are synthesised at the start and kept."""

    wait_text: str = Field(
        default="One moment, please.", description="Said when a reply does not come.", examples=["One moment, please."]
    )
    sorry_text: str = Field(
        default="I am sorry, something went wrong. Could you say that again?",
        description="Said when a turn could not be understood or answered.",
        examples=["I am sorry, could you say that again?"],
    )
    escalate_text: str = Field(
        default="I am sorry, I cannot help you right now. I will pass you on to a colleague.",
        description="Said when the appliance cannot go on by itself.",
        examples=["I will pass you on to a colleague."],
    )
    wait_s: float = Field(
        default=4.0, gt=0, description="How late a reply is when the caller is asked to wait, seconds.", examples=[4.0]
    )
    voice: str | None = Field(
        default=None,
        description="Program espeak-ng, by name or path, that speaks while the voice fails; null for none.",
        examples=["/usr/bin/espeak-ng"],
    )
    voice_language: str = Field(
        default="en-us",
        pattern=r"^[a-z]{2,3}(-[a-z0-9]{1,12}){0,3}$",
        description="Language of that program's voice.",
        examples=["en-us"],
    )
    voice_timeout_s: float = Field(
        default=5.0, gt=0, description="Longest run of that program for one clause, seconds.", examples=[5.0]
    )

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that may be said while a stage fails."""
        return (self.wait_text, self.sorry_text, self.escalate_text)
