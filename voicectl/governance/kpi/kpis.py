"""Make the key figures of a group of calls from its counts. Knows no database; None means unknown, never 0."""

from dataclasses import dataclass
from typing import Any, Final

from voicectl.governance.kpi.counts import Counts, LatencyQuantiles, WordCounts
from voicectl.governance.kpi.rate import Rate

MIN_TURNS: Final = {"p50_s": 5, "p90_s": 29, "p95_s": 59, "p99_s": 299}
"""Turns below which a percentile is not told: with fewer, even no slow turn at all would not show it to hold."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of v2v in seconds, each None below the turns that it needs."""

    turns: int
    p50_s: float | None
    p90_s: float | None
    p95_s: float | None
    p99_s: float | None


@dataclass(frozen=True, slots=True)
class Kpis:
    """The key figures of a group of calls.

    `failed` calls could not be scored, `unscored` adds those that wait. `containment_24h` and `containment_7d`
    count a call as contained only if its caller did not call again within that time. `…_by_judge` are the calls
    that rest on the judge's word. `csat_delta` is against `csat_baseline`. `wer` is None without
    references.
    """

    calls: int
    failed: int
    unscored: Rate
    containment: Rate
    containment_24h: Rate
    containment_7d: Rate
    deflection: Rate
    escalation: Rate
    escalation_appropriate: Rate
    warm_transfer: Rate
    escalation_to_complaint: Rate
    compliance_flags: Rate
    resolution: Rate
    resolved_by_judge: Rate
    containment_by_judge: Rate
    flags_by_judge: Rate
    wer: float | None
    words: WordCounts
    latency: Latency
    handle_s: float | None
    num_handle: int
    sentiment: float | None
    num_sentiment: int
    csat: float | None
    num_csat: int
    csat_delta: float | None
    cost_per_resolved: float | None
    num_cost: int
    cost_per_call: float | None
    num_spent: int

    def document(self) -> dict[str, Any]:
        """Return the figures as JSON."""
        latency = self.latency
        return {
            "calls": self.calls,
            "failed": self.failed,
            "unscored": self.unscored.document(),
            "containment": self.containment.document(),
            "containment_24h": self.containment_24h.document(),
            "containment_7d": self.containment_7d.document(),
            "deflection": self.deflection.document(),
            "escalation": self.escalation.document(),
            "escalation_appropriate": self.escalation_appropriate.document(),
            "warm_transfer": self.warm_transfer.document(),
            "escalation_to_complaint": self.escalation_to_complaint.document(),
            "compliance_flags": self.compliance_flags.document(),
            "resolution": self.resolution.document(),
            "resolved_by_judge": self.resolved_by_judge.document(),
            "containment_by_judge": self.containment_by_judge.document(),
            "flags_by_judge": self.flags_by_judge.document(),
            "wer": {
                "value": self.wer,
                "substitutions": self.words.substitutions,
                "deletions": self.words.deletions,
                "insertions": self.words.insertions,
                "words": self.words.words,
                "turns": self.words.turns,
            },
            "v2v": {
                "turns": latency.turns,
                "p50_s": latency.p50_s,
                "p90_s": latency.p90_s,
                "p95_s": latency.p95_s,
                "p99_s": latency.p99_s,
            },
            "handle_s": {"value": self.handle_s, "of": self.num_handle},
            "sentiment": {"value": self.sentiment, "of": self.num_sentiment},
            "csat": {"value": self.csat, "of": self.num_csat, "delta": self.csat_delta},
            "cost_per_resolved": {"value": self.cost_per_resolved, "of": self.num_cost},
            "cost_per_call": {"value": self.cost_per_call, "of": self.num_spent},
        }


def kpis(
    counts: Counts,
    words: WordCounts | None = None,
    quantiles: LatencyQuantiles | None = None,
    *,
    csat_baseline: float | None = None,
) -> Kpis:
    """Return the key figures of a group of calls."""
    words = words or WordCounts()
    csat = _mean(counts.csat, counts.of_csat)
    return Kpis(
        calls=counts.calls,
        failed=counts.failed,
        unscored=Rate(counts.pending + counts.failed, counts.calls),
        containment=_rate(counts, "contained"),
        containment_24h=_rate(counts, "contained_24h"),
        containment_7d=_rate(counts, "contained_7d"),
        deflection=_rate(counts, "deflected"),
        escalation=_rate(counts, "escalated"),
        escalation_appropriate=_rate(counts, "appropriate"),
        warm_transfer=Rate(counts.num_warm, counts.of_warm, counts.transfers - counts.of_warm),
        # Escalations of the last days are not unknown for good: they are only not old enough yet.
        escalation_to_complaint=Rate(
            counts.num_complained, counts.escalations_matured, counts.num_escalated - counts.escalations_matured
        ),
        compliance_flags=_rate(counts, "flagged"),
        resolution=_rate(counts, "resolved"),
        resolved_by_judge=Rate(counts.num_resolved_by_judge, counts.of_resolved_by_judge),
        containment_by_judge=Rate(counts.num_contained_by_judge, counts.of_contained_by_judge),
        flags_by_judge=Rate(counts.num_flagged_by_judge, counts.of_flagged_by_judge),
        wer=words.errors / words.words if words.words else None,
        words=words,
        latency=latency(quantiles or LatencyQuantiles()),
        handle_s=_mean(counts.handle_s, counts.of_handle),
        num_handle=counts.of_handle,
        sentiment=_mean(counts.sentiment, counts.of_sentiment),
        num_sentiment=counts.of_sentiment,
        csat=csat,
        num_csat=counts.of_csat,
        csat_delta=None if csat is None or csat_baseline is None else csat - csat_baseline,
        cost_per_resolved=_mean(counts.cost, counts.num_resolved_with_cost) if counts.of_cost else None,
        num_cost=counts.of_cost,
        cost_per_call=_mean(counts.spent, counts.of_spent),
        num_spent=counts.of_spent,
    )


def latency(found: LatencyQuantiles) -> Latency:
    """Return the percentiles that so many turns can show."""
    shown = {name: getattr(found, name) if found.n >= least else None for name, least in MIN_TURNS.items()}
    return Latency(found.n, **shown)


def _rate(counts: Counts, name: str) -> Rate:
    of = getattr(counts, f"of_{name}")
    return Rate(getattr(counts, f"num_{name}"), of, counts.calls - of)


def _mean(total: float, of: int) -> float | None:
    return total / of if of else None
