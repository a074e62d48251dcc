"""Settings of metrics and traces."""

from urllib.parse import urlsplit

from pydantic import Field, field_validator

from voicectl.core.sections.section import Section


class Telemetry(Section):
    """What is told to monitoring systems."""

    otlp_endpoint: str | None = Field(
        default=None,
        description="Collector of traces, OTLP over HTTP; without a path /v1/traces is used; null for no traces.",
        examples=["http://127.0.0.1:4318"],
    )
    otlp_header_files: dict[str, str] = Field(
        default={},
        description="Headers for the collector and the files that hold their values.",
        examples=[{"Authorization": "/etc/voicectl/otlp-token"}],
    )
    include_content: bool = Field(
        default=False,
        description="Whether traces hold what was said, redacted unless redaction.enabled is false.",
        examples=[False],
    )
    sample_ratio: float = Field(default=1.0, ge=0, le=1, description="Share of the calls to trace.", examples=[0.1])
    queue_spans: int = Field(
        default=4096, ge=64, description="Spans that wait for the collector; later ones are lost.", examples=[4096]
    )
    export_timeout_s: float = Field(
        default=5.0, gt=0, description="One delivery to the collector, retries included, seconds.", examples=[5.0]
    )
    flush_s: float = Field(
        default=2.0, ge=0, description="How long the end of the gateway waits for the collector.", examples=[2.0]
    )
    loop_probe_s: float = Field(
        default=0.25, gt=0, description="Seconds between two measurements of the event loop's lag.", examples=[0.25]
    )

    @field_validator("otlp_endpoint")
    @classmethod
    def _is_http(cls, url: str | None) -> str | None:
        if url is not None:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"must be an http:// or https:// URL, not {url!r}")
        return url
