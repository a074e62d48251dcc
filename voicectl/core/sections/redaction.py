"""Settings of redaction and of the audit log."""

from typing import Final, Literal

from pydantic import Field, field_validator

from voicectl.core.sections.section import Section

Action = Literal["drop", "mask", "hash", "keep"]
Kind = Literal["card", "code", "ssn", "email", "phone", "birth"]
TagName = Literal["phi", "pci", "pii"]
NEVER_KEPT: Final = ("card", "code")


class Redaction(Section):
    """What is taken out of everything that is logged, traced, sent to webhooks, checkpointed or recorded."""

    enabled: bool = Field(default=True, description="Whether texts are redacted before they are kept.", examples=[True])
    kinds: dict[Kind, Action] = Field(
        default={},
        description=(
            "What becomes of what is found in texts, by kind: `card`, `code` (of a card), `ssn`, `email`, `phone`, "
            "`birth`. `mask` (the default) names the kind, `drop` leaves nothing, `hash` puts a keyed hash, `keep` "
            "lets it stand; numbers and codes of cards are never kept."
        ),
        examples=[{"phone": "hash", "email": "keep"}],
    )
    fields: dict[str, Action] = Field(
        default={},
        max_length=200,
        description="The same by name of a field: attributes of calls, keys of log events.",
        examples=[{"caller": "hash", "ticket": "keep"}],
    )
    tags: dict[TagName, Action] = Field(
        default={},
        description="The same for values that the code marks as health, payment or personal data.",
        examples=[{"phi": "drop"}],
    )
    hash_key_file: str | None = Field(
        default=None,
        description="File of the key of keyed hashes, made when it does not exist; null is a file of this host.",
        examples=["/etc/voicectl/redaction.key"],
    )
    phone_region: str = Field(
        default="US",
        pattern=r"^[A-Z]{2}$",
        description="Where phone numbers without a country code are at home (ISO 3166).",
        examples=["US"],
    )

    @field_validator("kinds")
    @classmethod
    def _cards_are_never_kept(cls, kinds: dict[Kind, Action]) -> dict[Kind, Action]:
        for kind in NEVER_KEPT:
            if kinds.get(kind) == "keep":
                raise ValueError(f"{kind}: what is on a payment card is never kept; use mask, drop or hash")
        if kinds.get("code") == "hash":
            raise ValueError("code: a number of three digits has no safe hash; use mask or drop")
        return kinds

    @property
    def needs_key(self) -> bool:
        """Whether anything is hashed."""
        return "hash" in {*self.kinds.values(), *self.fields.values(), *self.tags.values()}


class Audit(Section):
    """The tamper-evident log of what the appliance did."""

    enabled: bool = Field(default=True, description="Whether the service writes the audit log.", examples=[True])
    folder: str | None = Field(
        default=None, description="Its folder; null is one of this host.", examples=["/var/lib/voicectl/audit"]
    )
    key_file: str | None = Field(
        default=None,
        description="Private key that signs checkpoints, made when it does not exist; null is a file in the folder.",
        examples=["/var/lib/voicectl/audit/audit.key"],
    )
