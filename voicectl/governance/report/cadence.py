"""Which sections a digest of the governance cadence has, in which order, and who owns it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from voicectl.governance.report import background, sections
from voicectl.governance.report.breaches import breaches, notes
from voicectl.governance.report.corrections import QUESTIONS, corrected
from voicectl.governance.report.digest import Digest, Section
from voicectl.governance.report.facts import Facts
from voicectl.governance.report.lines import Lines, Role
from voicectl.governance.report.period import Cadence, day_of

FINE: Final = "No figure that is known lies beyond its bound."
NOTHING_KNOWN: Final = "Nothing is known that could lie beyond a bound."

Part = Callable[[Facts, Lines], Section]


@dataclass(frozen=True, slots=True)
class Agenda:
    """What a digest is called, who owns it, and its parts."""

    title: str
    owner: Role
    parts: tuple[Part, ...]


AGENDAS: Final[dict[Cadence, Agenda]] = {
    "weekly": Agenda(
        "Weekly scoring digest",
        "quality_reviewer",
        (
            sections.headline,
            sections.use_cases,
            sections.containment,
            sections.compliance,
            sections.escalations,
            sections.platform,
            background.failures,
            background.knowledge,
            background.scoring,
        ),
    ),
    "monthly": Agenda(
        "Monthly platform and vendor review",
        "voice_ai_owner",
        (
            sections.headline,
            sections.platform,
            background.cost,
            sections.use_cases,
            sections.containment,
            sections.escalations,
            background.failures,
            background.knowledge,
            sections.compliance,
            background.scoring,
        ),
    ),
    "quarterly": Agenda(
        "Quarterly compliance review",
        "compliance_officer",
        (
            sections.headline,
            sections.compliance,
            sections.audit,
            sections.use_cases,
            sections.escalations,
            sections.containment,
            sections.platform,
            background.failures,
            background.scoring,
        ),
    ),
}


def digest_of(facts: Facts, lines: Lines) -> Digest:
    """Return the digest of a period."""
    period = facts.period
    agenda = AGENDAS[period.cadence]
    whose = f", use case {facts.use_case}" if facts.use_case else ", all use cases"
    return Digest(
        title=agenda.title,
        subtitle=f"{period.first.isoformat()} to {period.last.isoformat()} (UTC){whose}",
        owner=agenda.owner,
        notes=notes(facts),
        escalated=breaches(facts, lines),
        standing=FINE if facts.total.calls else NOTHING_KNOWN,
        sections=tuple(part(facts, lines) for part in agenda.parts),
        facts=facts_document(facts),
    )


def facts_document(facts: Facts) -> dict[str, Any]:
    """Return the facts as JSON."""
    period = facts.period
    return {
        "period": {
            "cadence": period.cadence,
            "first": period.first.isoformat(),
            "last": period.last.isoformat(),
            "as_of": period.as_of,
            "is_over": period.is_over,
        },
        "use_case": facts.use_case,
        "total": facts.total.document(),
        "previous": facts.previous.document(),
        "by_use_case": [
            {"use_case": use_case, "tier": tier, **one.document()}
            for (use_case, tier), one in facts.by_use_case.items()
        ],
        "by_tier": [{"tier": tier, **one.document()} for tier, one in facts.by_tier.items()],
        "by_day": [
            {"day": day_of(day).isoformat(), **facts.by_day[day].document()}
            for day in period.days
            if day in facts.by_day
        ],
        "corrected": {
            figure: None if (true := corrected(facts, figure)) is None else true.document() for figure in QUESTIONS
        },
        "v2v_within": None if facts.v2v_within is None else facts.v2v_within.document(),
        "reasons": [
            {"name": one.name, "kind": one.kind, "count": one.count, "call_ids": list(one.call_ids)}
            for one in facts.reasons
        ],
        "unscored": [
            {"reason": one.name, "count": one.count, "call_ids": list(one.call_ids)} for one in facts.unscored
        ],
        "knowledge_gaps": [
            {"example": gap.example, "count": gap.count, "call_ids": list(gap.call_ids)} for gap in facts.gaps
        ],
        "violations": [
            {"kind": one.kind, "at": one.at, "use_case": one.use_case, "call_id": one.call_id, "detail": one.detail}
            for one in facts.violations.latest
        ],
        "num_violations": dict(facts.violations.counts),
        "audit": {name: rate.document() for name, rate in facts.audit.items()},
        "complaints_imported_at": facts.complaints_at,
        "judge": {name: quality.document() for name, quality in facts.qualities.items()},
        "num_unended": facts.num_unended,
        "num_incomplete": facts.num_incomplete,
    }
