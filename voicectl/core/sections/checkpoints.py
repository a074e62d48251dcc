"""Settings of conversation checkpoints."""

from pydantic import Field

from voicectl.core.sections.section import Section


class Checkpoints(Section):
    """Where conversations are kept so that clients can come back to them."""

    enabled: bool = Field(default=True, description="Whether conversations are kept.", examples=[True])
