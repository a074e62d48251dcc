"""Settings of overload and failure: the ladder of measures, circuit breakers, fallbacks."""

from pydantic import Field

from voicectl.core.sections.section import Section


class Overload(Section):
    """What is left out under load, and when."""

    enabled: bool = Field(default=True, description="Whether less is offered under load.", examples=[True])


class Breakers(Section):
    """When a failing stage is left alone for a while."""

    failures: int = Field(default=3, ge=1, description="Failures in a row that open a breaker.", examples=[3])


class Fallback(Section):
    """What is said and used while a stage fails."""

    wait_text: str = Field(
        default="One moment, please.", description="Said when a reply does not come.", examples=["One moment, please."]
    )
