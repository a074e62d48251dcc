"""Settings of who may use the gateway, and how much."""

from pydantic import Field

from voicectl.core.sections.section import Section


class Access(Section):
    """Keys, origins and quotas."""

    anonymous: bool | None = Field(
        default=None,
        description="Whether clients may come without a key; null allows it on loopback addresses only.",
        examples=[False],
    )


class Tls(Section):
    """Encrypted connections."""

    certificate: str | None = Field(
        default=None, description="PEM file of the certificate chain.", examples=["/etc/voicectl/tls.crt"]
    )
