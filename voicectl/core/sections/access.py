"""Settings of who may use the gateway, and how much."""

from typing import Literal

from pydantic import Field, model_validator

from voicectl.core.sections.section import Section

Scope = Literal["realtime", "transcribe", "speak", "chat", "models", "metrics", "admin"]
"""What a key may do; `admin` is all of it."""


class Access(Section):
    """Keys, origins and quotas."""

    anonymous: bool | None = Field(
        default=None,
        description="Whether clients may come without a key; null allows it on loopback addresses without any keys.",
        examples=[False],
    )
    check_keys: bool = Field(
        default=True,
        description="Whether keys are looked at; false ignores what clients present and needs anonymous clients.",
        examples=[True],
    )
    keys_file: str | None = Field(
        default=None,
        description="File of the API keys; null is keys.json in the folder of this host's configuration.",
        examples=["/etc/voicectl/keys.json"],
    )
    reload_s: float = Field(
        default=1.0,
        gt=0,
        le=2,
        description="Seconds between looks at the files of keys, certificates and the gate.",
        examples=[1.0],
    )
    origins: tuple[str, ...] = Field(
        default=(),
        description="Web pages that may connect from a browser, beside those of the gateway's own address.",
        examples=[["https://desk.example.com"]],
    )
    open_metrics: bool = Field(
        default=False,
        description="Whether /metrics and /readyz need no key on addresses other than loopback.",
        examples=[False],
    )


class Tls(Section):
    """Encrypted connections."""

    certificate: str | None = Field(
        default=None, description="PEM file of the certificate chain.", examples=["/etc/voicectl/tls.crt"]
    )
    key: str | None = Field(
        default=None,
        description="PEM file of the certificate's private key, readable by its owner alone.",
        examples=["/etc/voicectl/tls.key"],
    )
    client_ca: str | None = Field(
        default=None,
        description="PEM file of the authorities whose certificates clients must show; null asks for none.",
        examples=["/etc/voicectl/clients-ca.crt"],
    )

    @model_validator(mode="after")
    def _certificate_and_key_go_together(self) -> "Tls":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("tls.certificate and tls.key are set together, or neither is")
        if self.client_ca is not None and self.certificate is None:
            raise ValueError("tls.client_ca needs tls.certificate and tls.key")
        return self
