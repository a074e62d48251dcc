"""Settings of webhooks."""

from pydantic import Field

from voicectl.core.sections.section import Section


class Webhooks(Section):
    """Where events are sent."""

    enabled: bool = Field(default=False, description="Whether events are sent.", examples=[True])
