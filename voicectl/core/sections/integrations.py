"""Settings of other systems that calls use: functions and context over HTTP."""

from pydantic import Field

from voicectl.core.sections.section import Section


class Integrations(Section):
    """Functions and context over HTTP."""

    context_url: str | None = Field(
        default=None,
        description="Asked for what is known about a caller, null for none.",
        examples=["https://crm.example/context"],
    )
