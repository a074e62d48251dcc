"""Settings of metrics and traces."""

from pydantic import Field

from voicectl.core.sections.section import Section


class Telemetry(Section):
    """What is told to monitoring systems."""

    otlp_endpoint: str | None = Field(
        default=None,
        description="OTLP over HTTP endpoint of traces, null for none.",
        examples=["http://127.0.0.1:4318"],
    )
