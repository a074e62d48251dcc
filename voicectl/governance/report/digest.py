"""What a report says, before it has a form: sections with their owner, their tables and the plots beside them."""

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from voicectl.governance.report.lines import ROLE_NAMES, Role

Standing = Literal["holds", "breached", "unknown", "none"]
"""How a figure stands to its line; "none" where there is no line."""
Plot = Literal["containment", "compliance", "wer", "latency", "escalation"]

STANDING_WORDS: Final[dict[Standing, str]] = {
    "holds": "holds",
    "breached": "BREACHED",
    "unknown": "unknown",
    "none": "",
}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts. `standings` are those of its rows, where it has any."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    standings: tuple[Standing, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a report, for the role that owns what it is about."""

    title: str
    owner: Role
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()

    @property
    def owner_name(self) -> str:
        """The owner, for people."""
        return ROLE_NAMES[self.owner]


@dataclass(frozen=True, slots=True)
class Digest:
    """A whole report. `escalated` are breaches that its owner passes on to the Voice AI owner.

    `standing` is what can be said where there are none."""

    title: str
    subtitle: str
    owner: Role
    notes: tuple[str, ...]
    escalated: tuple[str, ...]
    standing: str
    sections: tuple[Section, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def owner_name(self) -> str:
        """The owner, for people."""
        return ROLE_NAMES[self.owner]
