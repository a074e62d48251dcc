"""What all parts of a profile have in common: they are immutable and know all their keys."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of a profile: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
