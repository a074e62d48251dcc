"""The strict schema of a workload file: what callers say and do. Reads no file and makes no sound."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_TEXT: int = 1_000
MAX_TURNS: int = 200
MAX_CONVERSATIONS: int = 200


class Part(BaseModel):
    """A part of a workload: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


NoiseKind = Literal["white", "babble"]
Pause = Annotated[int, Field(ge=0, le=60_000)]


class Background(Part):
    """Noise under all that the caller says, and in between."""

    kind: NoiseKind = Field(description="White noise, or babble of the workload's own voices.", examples=["babble"])
    snr_db: float = Field(ge=-10, le=60, description="Speech above noise.", examples=[12])


class NoiseTurn(Part):
    """A burst of noise that wants no answer."""

    kind: NoiseKind = Field(description="White noise, or babble of the workload's own voices.", examples=["white"])
    duration_ms: int = Field(ge=20, le=60_000, description="How long it lasts.", examples=[1500])
    level_db: float = Field(default=-26, ge=-60, le=-6, description="Its level below full scale.", examples=[-26])


class BargeIn(Part):
    """Speak over the reply to the turn before."""

    after_ms: int = Field(ge=0, le=30_000, description="From the first sound of that reply.", examples=[800])


class Turn(Part):
    """One turn: exactly one of `say`, `audio`, `dtmf`, `silence_ms`, `noise`."""

    name: str | None = Field(default=None, max_length=100, description="What reports call it.", examples=["hours"])
    say: str | None = Field(default=None, min_length=1, max_length=MAX_TEXT, description="Words to speak.")
    audio: str | None = Field(default=None, min_length=1, max_length=1_000, description="A recording, by its path.")
    dtmf: str | None = Field(default=None, pattern=r"^[0-9A-D*#]{1,64}$", description="Keys to press.")
    silence_ms: int | None = Field(default=None, ge=20, le=120_000, description="Say nothing for so long.")
    noise: NoiseTurn | None = Field(default=None, description="Make noise instead of words.")
    reference: str | None = Field(
        default=None, max_length=MAX_TEXT, description="The words as a transcript should have them; of `say`, its text."
    )
    barge_in: BargeIn | None = Field(default=None, description="Speak over the reply to the turn before.")
    background: Background | None = Field(default=None, description="Noise under these words alone.")
    pause_ms: Pause | None = Field(default=None, description="From the end of the reply before; default: the file's.")
    pause_spread_ms: Pause | None = Field(default=None, description="By how much the pause varies.")

    @model_validator(mode="after")
    def _one_thing_at_a_time(self) -> "Turn":
        kinds = ("say", "audio", "dtmf", "silence_ms", "noise")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            told = " and ".join(given) or "none of them"
            raise ValueError(f"a turn is exactly one of {', '.join(kinds)}, not {told}")
        if not self.speaks:
            for key in ("barge_in", "reference", "background"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} belongs to words (say or audio), not to {given[0]}")
        if self.say is not None and not any(character.isalnum() for character in self.say):
            raise ValueError(f"say: {self.say!r} holds nothing to say")
        return self

    @property
    def speaks(self) -> bool:
        """Return whether the turn has words, and so wants an answer."""
        return self.say is not None or self.audio is not None


class Conversation(Part):
    """One kind of call."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Its name.", examples=["opening-hours"])
    weight: float = Field(default=1.0, gt=0, le=1_000, description="How often it comes, beside the others.")
    turns: tuple[Turn, ...] = Field(min_length=1, max_length=MAX_TURNS, description="What the caller does.")

    @model_validator(mode="after")
    def _a_reply_to_speak_over(self) -> "Conversation":
        before: Turn | None = None
        for number, turn in enumerate(self.turns):
            if turn.barge_in is not None and (before is None or not before.speaks):
                raise ValueError(
                    f"turns.{number}: barge_in needs a turn with words before it, whose reply it speaks over"
                )
            before = turn
        return self


class WorkloadFile(Part):
    """A workload: conversations that are drawn by their weights, and what they have in common."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Its name.", examples=["short-faq"])
    description: str = Field(default="", max_length=500, description="One sentence for people.")
    instructions: str | None = Field(
        default=None, max_length=20_000, description="What the agent is told at the start of each call."
    )
    seed: int = Field(default=1, ge=0, le=2**32 - 1, description="Of the noise.")
    opening_ms: Pause = Field(default=500, description="From the start of a call to its first words.")
    pause_ms: Pause = Field(default=1_500, description="From the end of a reply to the next words.")
    pause_spread_ms: Pause = Field(default=500, description="By how much pauses vary, either way.")
    listen_ms: Pause = Field(default=2_000, description="How long to watch that what wants no answer gets none.")
    background: Background | None = Field(default=None, description="Noise under all calls.")
    conversations: tuple[Conversation, ...] = Field(
        min_length=1, max_length=MAX_CONVERSATIONS, description="The kinds of call."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> "WorkloadFile":
        names = [one.name for one in self.conversations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"conversations must have different names: {', '.join(twice)}")
        return self
