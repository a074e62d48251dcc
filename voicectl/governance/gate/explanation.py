"""A verdict in words: one line for everything that was looked at. Knows no output format. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from voicectl.governance.gate.criteria import CriterionResult
from voicectl.governance.gate.verdict import Decision, Verdict
from voicectl.governance.policy.document import Place
from voicectl.governance.policy.persons import shown
from voicectl.governance.policy.schema import Policy

Level = Literal["ok", "hold", "fail", "note"]
_SIGNS: Final = {"gte": "≥", "gt": ">", "lte": "≤", "lt": "<"}
HEADLINES: Final[dict[Decision, str]] = {
    "promote": "everything holds: it may be promoted",
    "hold": "hold: not enough evidence yet",
    "failed": "failed: the evidence shows that a criterion does not hold",
    "unfit": "hold: evidence is missing or cannot be believed",
    "unsigned": "everything holds but the signatures",
    "broken": "stopped: the audit log or the rollout state is not what was written",
    "stopped": "stopped: a zero-tolerance event",
}


_NEXT: Final[dict[Decision, str]] = {
    "promote": "voicectl gate promote --to {tier}",
    "failed": "find out why in `voicectl report weekly`, change what is wrong, and let evidence begin anew",
    "unfit": "put right what is named above; nothing is decided before",
    "unsigned": "voicectl gate sign --to {tier} --reviewer NAME --role ROLE --key KEY",
    "broken": "voicectl audit verify",
    "stopped": "voicectl gate demote the use case and find the cause; evidence counts from its next promotion on",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at. `place` is where the policy asks for it."""

    level: Level
    name: str
    text: str
    place: Place


def lines(verdict: Verdict, policy: Policy) -> Iterator[Line]:
    """Yield everything that was looked at, the gravest kinds first; without control characters."""
    for line in _lines(verdict, policy):
        yield replace(line, name=shown(line.name), text=shown(line.text))


def _lines(verdict: Verdict, policy: Policy) -> Iterator[Line]:
    for draft in verdict.drafts:
        yield Line("note", draft, "a draft: not what is in force on this host, so that it opens nothing here", ())
    below = policy.below(verdict.tier)
    if verdict.audit_problem is not None:
        yield Line("fail", "audit", verdict.audit_problem, ("zero_tolerance",))
    found = dict(verdict.zero_tolerance)
    for number, name in enumerate(policy.zero_tolerance if below is not None else ()):
        if name in found:
            yield Line("fail", f"zero tolerance: {name}", f"happened {_times(found[name])}", ("zero_tolerance", number))
    for reason in verdict.unsound:
        yield Line("hold", "evidence", reason, ("defaults",))
    for result in verdict.criteria:
        place: Place = ("tiers", below or "", "criteria", result.metric)
        yield Line(_level(result), result.metric, criterion_text(result), place)
    for veto in verdict.vetoes:
        text = f"{veto.use_case} alone is at {veto.rate:.1%} in the window (n={veto.num_events})"
        yield Line("hold", f"{veto.metric}: {veto.use_case}", text, ("tiers", below or "", "criteria", veto.metric))
    for alert in verdict.alerts:
        level: Level = (
            "ok" if alert.state == "quiet" else "fail" if alert.is_grave and alert.state == "firing" else "hold"
        )
        yield Line(level, f"alert: {alert.alert.metric}", f"{alert.state}: {alert.detail}", ("alerts", alert.place))
    if verdict.closed_below:
        yield Line("hold", f"tier {below}", f"is not open to {', '.join(verdict.closed_below)}", ("tiers", below or ""))
    for need in verdict.requirements:
        where: Place = ("checklist",) if need.group == "checklist" else ("tiers", verdict.tier, "entry_requires")
        yield Line("ok" if need.held else "hold", f"{need.group}: {need.name}", need.detail, where)
    for signed in verdict.signoff.signed:
        yield Line("ok", "sign-off", signed, ("signoff", "require"))
    for missing in verdict.signoff.missing:
        yield Line("hold", "sign-off", missing, ("signoff", "require"))


def shortfalls(verdict: Verdict, policy: Policy) -> tuple[Line, ...]:
    """Return what keeps the tier closed; signatures only when nothing else does."""
    found = [line for line in lines(verdict, policy) if line.level in ("hold", "fail")]
    others = [line for line in found if line.name != "sign-off"]
    return tuple(Line(line.level, line.name, f"{line.name}: {line.text}", line.place) for line in (others or found))


def next_step(verdict: Verdict) -> str:
    """Return what to do about it."""
    if verdict.decision == "hold":
        days = [result.days for result in verdict.criteria if result.state == "hold" and result.days is not None]
        return (
            f"let it run: a decision is likely in about {max(days):.0f} days" if days else "let it run, and check again"
        )
    return _NEXT[verdict.decision].format(tier=verdict.tier)


def criterion_text(result: CriterionResult) -> str:
    """Return a criterion's numbers in a line."""
    bar = f"{_SIGNS[result.operator]} {result.bar:.0%}"
    if result.estimate is None:
        return f"wants {bar}; {'; '.join(result.reasons)}"
    kind = " corrected for the judge" if result.corrected else ""
    wilson = "" if result.wilson is None else f", Wilson bound {result.wilson:.1%}"
    text = (
        f"{result.estimate:.1%}{kind} in the window (n={result.window.total}), wants {bar}; "
        f"e-value {_number(result.e_value)} of {result.e_needed:g} over {result.total.total}{wilson}"
    )
    if result.total.unknown:
        text += f"; {result.total.unknown} unknown count as failures"
    if result.state != "met" and result.reasons:
        text += f"; {'; '.join(result.reasons)}"
    return text + (f"; {_outlook(result)}" if result.state == "hold" else "")


def _outlook(result: CriterionResult) -> str:
    if result.more_events is None:
        return "at this rate it will not be decided in favour"
    days = "" if result.days is None else f", about {max(result.days, 0.5):.0f} days"
    return f"likely decided after {result.more_events} more{days}"


def _level(result: CriterionResult) -> Level:
    return "ok" if result.state == "met" else "fail" if result.state == "failed" else "hold"


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 1000 else "over 1000"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
