"""Correct figures for the errors of the judge that decided some of their calls. Pure."""

from typing import Final, Literal

from voicectl.governance.kpi.kpis import Kpis
from voicectl.governance.kpi.rate import Rate
from voicectl.governance.report.facts import Facts
from voicectl.governance.score.calibration import Interval, JudgeTooWeak, corrected_rate
from voicectl.governance.score.verdict import FLAGGED, RESOLVED

Figure = Literal["resolution", "containment", "compliance_flags"]
QUESTIONS: Final[dict[Figure, str]] = {
    "resolution": RESOLVED,
    "containment": RESOLVED,
    "compliance_flags": FLAGGED,
}
"""What the judge was asked for a figure, by the name of its score."""


def judged(one: Kpis, figure: Figure) -> Rate:
    """Return what a figure would be of the calls alone that rest on the judge's word."""
    return {
        "resolution": one.resolved_by_judge,
        "containment": one.containment_by_judge,
        "compliance_flags": one.flags_by_judge,
    }[figure]


def corrected(facts: Facts, figure: Figure) -> Interval | None:
    """Return a figure of the period as it would be without the judge's errors.

    Calls that do not rest on the judge are taken as they are. None where it decided nothing, or is no evidence.
    """
    quality, by_judge = facts.qualities.get(QUESTIONS[figure]), judged(facts.total, figure)
    if quality is None or not by_judge.of or not quality.is_evidence:
        return None
    try:
        true = corrected_rate(by_judge, quality)
    except JudgeTooWeak:
        return None
    whole: Rate = getattr(facts.total, figure)
    others = whole.num - by_judge.num
    return Interval(*((others + share * by_judge.of) / whole.of for share in (true.value, true.low, true.high)))
