"""Settings of how a caller is heard and answered: voice activity, end of turn, interruption, pacing."""

from pydantic import Field, model_validator

from voicectl.core.sections.section import Section


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
    hold_ms: int = Field(
        default=32,
        ge=0,
        description="Speech over the agent that holds its voice until the words are known; more than "
        "`backchannel_max_ms` never holds it.",
        examples=[64],
    )
    max_hold_ms: int = Field(
        default=1500,
        ge=100,
        description="Longest time the agent's voice is held; after it, who still speaks interrupts.",
        examples=[1500],
    )
    min_speech_ms: int = Field(
        default=500,
        ge=32,
        description="Speech over the agent whose words may stop it at once; shorter speech is judged at its end.",
        examples=[500],
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
