"""What must be said before any figure is read: what is missing, and what lies beyond its bound."""

from typing import Final

from voicectl.governance.report.facts import Facts
from voicectl.governance.report.figures import Bound, instant, percent, seconds, share
from voicectl.governance.report.lines import Lines, TierLines
from voicectl.governance.score.verdict import FLAGGED, RESOLVED

DAY_S: Final = 86_400


def breaches(facts: Facts, lines: Lines) -> tuple[str, ...]:
    """Return what the owner of a digest passes on: figures beyond their bound, and zero-tolerance events."""
    found: list[str] = []
    for (use_case, tier), one in facts.by_use_case.items():
        line = lines.tiers.get(tier, TierLines())
        for name, rate, bound in (
            ("containment", one.containment, Bound("≥", line.containment)),
            ("compliance flags", one.compliance_flags, Bound("<", line.compliance_flags)),
            ("warm transfer success", one.warm_transfer, Bound(">", line.warm_transfer)),
            ("escalation to complaint", one.escalation_to_complaint, Bound("<", line.escalation_to_complaint)),
        ):
            if bound.standing(rate.value) == "breached":
                asked = bound.text(percent)
                found.append(f"{use_case} ({tier}): {name} {share(rate.value)} of {rate.of}, asked for {asked}")
    one = facts.total
    for name, value, limit, form in (
        ("word error rate", one.wer, lines.wer_alert, percent),
        ("v2v P90", one.latency.p90_s, lines.v2v_p90_s, seconds),
        ("v2v P99", one.latency.p99_s, lines.v2v_p99_s, seconds),
    ):
        if value is not None and limit is not None and value > limit:
            found.append(f"{name} {form(value)}, alert above {form(limit)}")
    found += [
        f"zero-tolerance event {kind}, {number} times" if number > 1 else f"zero-tolerance event {kind}"
        for kind, number in facts.violations.counts.items()
        if kind in lines.zero_tolerance
    ]
    found += [
        f"audit: {name}: {rate.of - rate.num} of {rate.of} calls do not pass"
        for name, rate in facts.audit.items()
        if rate.num < rate.of
    ]
    return tuple(found)


def notes(facts: Facts) -> tuple[str, ...]:
    """Return what a reader must know before any figure: what is missing or not over."""
    period = facts.period
    found: list[str] = []
    if not facts.total.calls:
        whose = f" of use case {facts.use_case}" if facts.use_case else ""
        found.append(f"No call{whose} was completed in this period, so every figure is unknown.")
    if not period.is_over:
        found.append("The period is not over yet: its last days are missing or partial.")
    if facts.first_call_at is not None and facts.first_call_at > period.since + DAY_S:
        found.append(f"Records begin only on {instant(facts.first_call_at)[:10]}: the period is not whole.")
    if facts.total.unscored.num:
        found.append(
            f"{facts.total.unscored.num} of {facts.total.calls} calls have no score: "
            "resolution, containment and flags leave them out."
        )
    if facts.num_unended:
        found.append(f"{facts.num_unended} calls have no end on record and are left out.")
    if facts.num_incomplete:
        found.append(f"{facts.num_incomplete} calls miss events that could not be kept.")
    if facts.total.escalation.num and facts.complaints_at is None:
        found.append("No complaints were ever imported: what came of escalations is unknown.")
    for question, one, word in (
        (RESOLVED, facts.total.resolved_by_judge, "resolved"),
        (FLAGGED, facts.total.flags_by_judge, "flagged"),
    ):
        quality = facts.qualities.get(question)
        if one.of and quality is not None and quality.doubt:
            found.append(
                f"In {one.of} calls it rests on the judge whether they were {word}. "
                f"Its answers are no evidence: {quality.doubt}."
            )
    return tuple(found)
