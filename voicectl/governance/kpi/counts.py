"""What the database counts of a group of calls, before any rate is made of it."""

from dataclasses import dataclass, fields
from typing import Literal

Dimension = Literal["use_case", "tier", "day"]


@dataclass(frozen=True, slots=True)
class Group:
    """What calls have in common; None where they were not told apart by it. `day` counts from the epoch, UTC."""

    use_case: str | None = None
    tier: str | None = None
    day: int | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over completed calls. A pair `num_…`/`of_…` is a proportion among the calls where it is known.

    Sums of amounts stand beside the number of calls that have the amount.
    """

    calls: int = 0
    pending: int = 0
    failed: int = 0
    num_contained: int = 0
    of_contained: int = 0
    num_contained_24h: int = 0
    of_contained_24h: int = 0
    num_contained_7d: int = 0
    of_contained_7d: int = 0
    num_deflected: int = 0
    of_deflected: int = 0
    num_escalated: int = 0
    of_escalated: int = 0
    num_appropriate: int = 0
    of_appropriate: int = 0
    transfers: int = 0
    num_warm: int = 0
    of_warm: int = 0
    escalations_matured: int = 0
    num_complained: int = 0
    num_flagged: int = 0
    of_flagged: int = 0
    num_resolved: int = 0
    of_resolved: int = 0
    num_resolved_by_judge: int = 0
    of_resolved_by_judge: int = 0
    num_contained_by_judge: int = 0
    of_contained_by_judge: int = 0
    num_flagged_by_judge: int = 0
    of_flagged_by_judge: int = 0
    handle_s: float = 0.0
    of_handle: int = 0
    csat: float = 0.0
    of_csat: int = 0
    cost: float = 0.0
    of_cost: int = 0
    num_resolved_with_cost: int = 0
    spent: float = 0.0
    of_spent: int = 0
    sentiment: float = 0.0
    of_sentiment: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(self)})


@dataclass(frozen=True, slots=True)
class WordCounts:
    """Words of turns that have a reference, and their errors."""

    turns: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    words: int = 0

    @property
    def errors(self) -> int:
        """All errors together."""
        return self.substitutions + self.deletions + self.insertions


@dataclass(frozen=True, slots=True)
class LatencyQuantiles:
    """Order statistics of v2v in seconds over `n` turns that have one."""

    n: int = 0
    p50_s: float | None = None
    p90_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
