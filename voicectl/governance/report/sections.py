"""The sections of the digests: figures against their lines, in words and tables. Pure: facts in, sections out."""

from collections.abc import Sequence
from typing import Final

from voicectl.governance.kpi.kpis import Kpis
from voicectl.governance.kpi.query import DAY_S, MATURITY_S
from voicectl.governance.kpi.rate import total
from voicectl.governance.report.corrections import Figure, corrected, judged
from voicectl.governance.report.digest import Section
from voicectl.governance.report.facts import Facts
from voicectl.governance.report.figures import (
    Bound,
    Row,
    against,
    instant,
    interval,
    number_row,
    percent,
    plain,
    rate_row,
    reasons_table,
    seconds,
    share,
    shown,
    signed,
    table,
    tables,
    unless,
    whole_seconds,
    worst,
)
from voicectl.governance.report.lines import Lines, TierLines
from voicectl.governance.report.period import day_of

MAX_ROWS: Final = 14
"""Rows of a table by day; longer periods are shown by weeks."""


def headline(facts: Facts, lines: Lines) -> Section:
    """The figures of the period beside those of the one before and their lines."""
    now, before = facts.total, facts.previous
    line = lines.of_tiers(facts.tiers)
    rows: list[Row] = [
        rate_row("Containment", now.containment, before.containment, Bound("≥", line.containment)),
        rate_row("… and no call again within 24 h", now.containment_24h, before.containment_24h),
        rate_row("… and no call again within 7 days", now.containment_7d, before.containment_7d),
        rate_row("Compliance flags", now.compliance_flags, before.compliance_flags, Bound("<", line.compliance_flags)),
        rate_row("Escalation", now.escalation, before.escalation),
        rate_row("Warm transfer success", now.warm_transfer, before.warm_transfer, Bound(">", line.warm_transfer)),
        rate_row(
            f"Escalation to complaint (after {_maturity(facts, lines)})",
            now.escalation_to_complaint,
            before.escalation_to_complaint,
            Bound("<", line.escalation_to_complaint),
        ),
        rate_row("Deflection", now.deflection, before.deflection),
        number_row(
            "Word error rate", now.wer, before.wer, f"{now.words.words} words", form=percent, below=lines.wer_target
        ),
        number_row("v2v P50", now.latency.p50_s, before.latency.p50_s, turns_of(now), form=seconds),
        number_row(
            "v2v P90", now.latency.p90_s, before.latency.p90_s, turns_of(now), form=seconds, below=lines.v2v_p90_s
        ),
        number_row(
            "v2v P99", now.latency.p99_s, before.latency.p99_s, turns_of(now), form=seconds, below=lines.v2v_p99_s
        ),
        *_within(facts, lines),
        number_row("Handle time, mean", now.handle_s, before.handle_s, f"{now.num_handle} calls", form=whole_seconds),
        number_row(
            "Sentiment, mean (-1 to 1)", now.sentiment, before.sentiment, f"{now.num_sentiment} calls", form=signed
        ),
        number_row("CSAT, mean", now.csat, before.csat, f"{now.num_csat} answers", form=plain),
        number_row("CSAT against baseline", now.csat_delta, None, f"{now.num_csat} answers", form=signed),
        number_row("Cost a call", now.cost_per_call, before.cost_per_call, f"{now.num_spent} calls", form=plain),
        number_row(
            "Cost a resolved call", now.cost_per_resolved, before.cost_per_resolved, f"{now.num_cost} calls", form=plain
        ),
    ]
    columns = ("Figure", "This period", "95 % interval", "Of", "Period before", "Line")
    text = (
        f"{now.calls} completed calls ({before.calls} in the period before)."
        " A figure that is unknown is not 0; calls for which it is unknown are counted beside it."
        " How a figure stands compares it alone with its line: whether a use case may advance is for the gate to say."
    )
    return Section("Key figures", "quality_reviewer", (text,), (table(columns, rows),))


def _within(facts: Facts, lines: Lines) -> list[Row]:
    bar_s = lines.v2v_p90_s
    if bar_s is None or facts.v2v_within is None or facts.v2v_within_before is None:
        return []
    return [rate_row(f"Turns answered within {bar_s:g} s", facts.v2v_within, facts.v2v_within_before)]


def use_cases(facts: Facts, lines: Lines) -> Section:
    """The figures by use case, and then by tier, against the lines of the tier."""
    rows = [
        _group_row(use_case, tier, one, lines.tiers.get(tier, TierLines()))
        for (use_case, tier), one in facts.by_use_case.items()
    ]
    rows += [
        _group_row("all of the tier", tier, one, lines.tiers.get(tier, TierLines()))
        for tier, one in facts.by_tier.items()
    ]
    columns = ("Use case", "Tier", "Calls", "Containment", "7-day", "Flags", "Warm", "Escalated", "WER", "v2v P90")
    text = unless(rows, "No call was completed.")
    return Section("By use case and tier", "quality_reviewer", text, tables(columns, rows))


def _group_row(name: str, tier: str, one: Kpis, line: TierLines) -> Row:
    standings = (
        Bound("≥", line.containment).standing(one.containment.value),
        Bound("<", line.compliance_flags).standing(one.compliance_flags.value),
        Bound(">", line.warm_transfer).standing(one.warm_transfer.value),
    )
    cells = (
        name,
        tier,
        str(one.calls),
        against(one.containment.value, line.containment),
        share(one.containment_7d.value),
        against(one.compliance_flags.value, line.compliance_flags),
        against(one.warm_transfer.value, line.warm_transfer),
        share(one.escalation.value),
        shown(one.wer, percent),
        shown(one.latency.p90_s, seconds),
    )
    return cells, worst(standings)


def containment(facts: Facts, lines: Lines) -> Section:
    """Containment over time, against the gate's line."""
    line = lines.of_tiers(facts.tiers).containment
    rows: list[Row] = []
    for name, days in _stretches(facts):
        held = [facts.by_day[day] for day in days if day in facts.by_day]
        rate = total(one.containment for one in held)
        calls = sum(one.calls for one in held)
        flags = total(one.compliance_flags for one in held)
        escalated = total(one.escalation for one in held)
        cells = (name, str(calls), share(rate.value), interval(rate), share(flags.value), share(escalated.value))
        rows.append((cells, Bound("≥", line).standing(rate.value)))
    columns = ("Days", "Calls", "Containment", "95 % interval", "Flags", "Escalated")
    text = [_asked(facts, lines)]
    text += _without_errors(facts, "resolution", "resolved")
    text += _without_errors(facts, "containment", "contained")
    return Section("Containment", "quality_reviewer", tuple(text), (table(columns, rows),), ("containment",))


def compliance(facts: Facts, lines: Lines) -> Section:
    """Flags by what raised them, and zero-tolerance events."""
    line = lines.of_tiers(facts.tiers).compliance_flags
    flags = facts.total.compliance_flags
    text = [
        f"{flags.num} of {flags.of} calls were flagged ({share(flags.value)}, {interval(flags)});"
        f" the line is {share(line)}. {flags.unknown} calls could not be told."
        if flags.of
        else f"Of {facts.total.calls} calls, none could be told to be clean or flagged."
    ]
    text += _without_errors(facts, "compliance_flags", "flagged")
    found = [reason for reason in facts.reasons if reason.kind == "compliance"]
    tables = [reasons_table(found)] if found else []
    counts = {kind: number for kind, number in facts.violations.counts.items() if kind in lines.zero_tolerance}
    shown_events = [one for one in facts.violations.latest if one.kind in counts]
    if counts:
        told = ", ".join(f"{kind} {number}" for kind, number in counts.items())
        text.append(f"Zero-tolerance events: {sum(counts.values())} ({told}). Each of them stops a promotion.")
        if len(shown_events) < sum(counts.values()):
            text.append(f"The latest {len(shown_events)} of them are listed.")
        rows: list[Row] = [
            ((instant(one.at), one.kind, one.use_case or "all", one.call_id or "none", one.detail or ""), "breached")
            for one in shown_events
        ]
        tables.append(table(("At (UTC)", "Event", "Use case", "Call", "Detail"), rows))
    else:
        text.append("No zero-tolerance event was recorded.")
    return Section("Compliance flags", "compliance_officer", tuple(text), tuple(tables), ("compliance",))


def audit(facts: Facts, lines: Lines) -> Section:
    """What the records say of consent, do-not-call, calling windows, disclosure and agreements."""
    rows: list[Row] = [
        (
            (name, str(rate.num), str(rate.of - rate.num), str(rate.unknown)),
            "breached" if rate.of > rate.num else "unknown" if rate.unknown or not rate.of else "holds",
        )
        for name, rate in facts.audit.items()
    ]
    agenda = (
        "To be decided by people, and recorded: changes of regulation since the last review; renewal of every"
        " business associate agreement; PCI re-attestation; sample of the consents above against their originals."
    )
    columns = ("Check", "Calls that pass", "That do not", "Not recorded")
    return Section("Consent audit", "compliance_officer", (agenda,), (table(columns, rows),))


def escalations(facts: Facts, lines: Lines) -> Section:
    """Escalations, transfers and the complaints after them."""
    one = facts.total
    text = (
        f"{one.escalation.num} of {one.escalation.of} calls were escalated ({share(one.escalation.value)}).",
        f"Of {one.warm_transfer.of + one.warm_transfer.unknown} transfers, {one.warm_transfer.num} were warm, "
        f"{one.warm_transfer.of - one.warm_transfer.num} were not, {one.warm_transfer.unknown} are unknown.",
        _complaints(facts, lines),
        f"In {share(one.escalation_appropriate.value)} of {one.escalation_appropriate.of} calls a human took over "
        "exactly if one had to.",
    )
    found = [reason for reason in facts.reasons if reason.kind == "escalation"]
    tables = (reasons_table(found),) if found else ()
    return Section("Escalations and transfers", "contact_centre_lead", text, tables, ("escalation",))


def platform(facts: Facts, lines: Lines) -> Section:
    """Latency and word errors."""
    one = facts.total
    words = one.words
    text = [
        f"v2v is from the caller's last voiced sample to the first audible one of the answer, over {turns_of(one)}."
        f"{_alerts(lines)} A percentile is shown only where there are enough turns for it (P90: 29, P99: 299).",
        f"{words.turns} turns have a reference: {words.words} words, {words.substitutions} substituted, "
        f"{words.deletions} left out, {words.insertions} added."
        f"{_word_lines(lines)}"
        if words.words
        else "No turn has a reference transcript, so that the word error rate is unknown; "
        "see `voicectl calls score --references`.",
    ]
    return Section("Latency and recognition", "platform_engineer", tuple(text), (), ("latency", "wer"))


def _alerts(lines: Lines) -> str:
    asked = (("P90", lines.v2v_p90_s), ("P99", lines.v2v_p99_s))
    told = [f"{name} above {bar:g} s" for name, bar in asked if bar is not None]
    return f" The policy alerts at {' and at '.join(told)}." if told else ""


def _word_lines(lines: Lines) -> str:
    target = "" if lines.wer_target is None else f" The target is below {percent(lines.wer_target)}."
    alert = "" if lines.wer_alert is None else f" The policy alerts above {percent(lines.wer_alert)}."
    return target + alert


def turns_of(one: Kpis) -> str:
    """Return over how many turns latencies are."""
    return f"{one.latency.turns} turns"


def _complaints(facts: Facts, lines: Lines) -> str:
    known = facts.total.escalation_to_complaint
    if facts.complaints_at is None:
        return "No complaints were ever imported, so that nothing is known of what came of escalations."
    return (
        f"{known.num} complaints came of {known.of} escalations that ended {_maturity(facts, lines)} before the last "
        f"import of complaints ({instant(facts.complaints_at)}); {known.unknown} are younger and do not count yet."
    )


def _maturity(facts: Facts, lines: Lines) -> str:
    """Return in words how long after its end an escalation may still bring a complaint."""
    asked = sorted({lines.maturities.get(tier, MATURITY_S) for tier in facts.tiers}) or [MATURITY_S]
    return " or ".join(f"{one / DAY_S:g} days" for one in asked)


def _asked(facts: Facts, lines: Lines) -> str:
    tiers = sorted(facts.tiers)
    asked = [(tier, lines.tiers.get(tier, TierLines()).containment) for tier in tiers]
    told = ", ".join(f"{percent(bound)} in tier {tier}" for tier, bound in asked if bound is not None)
    return f"The gate asks for at least {told}." if told else "The policy has no line for containment here."


def _without_errors(facts: Facts, figure: Figure, word: str) -> list[str]:
    by_judge, true = judged(facts.total, figure), corrected(facts, figure)
    if true is None:
        return []
    return [
        f"{by_judge.of} calls rest on the judge's word, which says that {share(by_judge.value)} of them were {word}."
        f" Corrected for its errors, {share(true.value)} ({share(true.low)} to {share(true.high)}) of all calls were."
    ]


def _stretches(facts: Facts) -> list[tuple[str, Sequence[int]]]:
    """Return the days of the period, or its weeks counted from its end."""
    days = list(facts.period.days)
    if len(days) <= MAX_ROWS:
        return [(day_of(day).isoformat(), [day]) for day in days]
    weeks = [days[max(0, end - 7) : end] for end in range(len(days), 0, -7)]
    return [(f"{day_of(week[0]).isoformat()} to {day_of(week[-1]).isoformat()}", week) for week in reversed(weeks)]
