"""The sections behind the figures: costs, what failed, what the agent does not know, how far scores can be believed.

Pure: facts in, sections out.
"""

from voicectl.governance.report.digest import Section, Standing
from voicectl.governance.report.facts import Facts
from voicectl.governance.report.figures import (
    UNKNOWN,
    Row,
    plain,
    reasons_table,
    share,
    shown,
    table,
    tables,
    unless,
    whole_seconds,
)
from voicectl.governance.report.lines import Lines


def cost(facts: Facts, lines: Lines) -> Section:
    """Cost, handle time and satisfaction by use case."""
    rows: list[Row] = [
        (
            (
                use_case,
                str(one.calls),
                shown(one.cost_per_call, plain),
                str(one.num_spent),
                shown(one.cost_per_resolved, plain),
                str(one.num_cost),
                shown(one.handle_s, whole_seconds),
                shown(one.csat, plain),
                str(one.num_csat),
                share(one.deflection.value),
            ),
            "none",
        )
        for (use_case, _), one in facts.by_use_case.items()
    ]
    costs = ("Cost a call", "Of", "Cost a resolved call", "Of")
    columns = ("Use case", "Calls", *costs, "Handle time", "CSAT", "Of", "Deflection")
    text = unless(rows, "No call was completed.")
    return Section("Cost and satisfaction", "voice_ai_owner", text, tables(columns, rows))


def failures(facts: Facts, lines: Lines) -> Section:
    """What went wrong most often, with calls to listen to."""
    text = unless(facts.reasons, "Neither rules nor judge found anything.")
    return Section(
        "Top failure reasons", "quality_reviewer", text, (reasons_table(facts.reasons),) if facts.reasons else ()
    )


def knowledge(facts: Facts, lines: Lines) -> Section:
    """Questions that the agent could not answer."""
    rows: list[Row] = [((gap.example, str(gap.count), ", ".join(gap.call_ids[:5])), "none") for gap in facts.gaps]
    text = unless(facts.gaps, "No reply said that the agent does not know.")
    return Section("Knowledge gaps", "quality_reviewer", text, tables(("Question", "Times", "Calls"), rows))


def scoring(facts: Facts, lines: Lines) -> Section:
    """How much of this rests on scores, and how far the judge can be believed."""
    unscored = facts.total.unscored
    text = [
        f"{unscored.num} of {unscored.of} completed calls have no score ({share(unscored.value)}): "
        f"{facts.total.failed} could not be scored, {unscored.num - facts.total.failed} wait."
        if unscored.of
        else "There was nothing to score."
    ]
    text += [f"Judge {digest[:12]}, rubric {version}: {count} calls." for digest, version, count in facts.judges]
    if len(facts.judges) > 1:
        text.append("Several judges scored, who measure differently: `voicectl calls score --all` makes them one.")
    rows: list[Row] = []
    for name, quality in facts.qualities.items():
        kappa = quality.kappa
        shown = UNKNOWN if kappa is None else f"{kappa.value:.2f} ({kappa.low:.2f} to {kappa.high:.2f})"
        cells = (
            name,
            str(quality.num_labels),
            f"{share(quality.sensitivity.value)} of {quality.sensitivity.of}",
            f"{share(quality.specificity.value)} of {quality.specificity.of}",
            shown,
            "counts as evidence" if quality.is_evidence else f"is no evidence: {quality.doubt}",
        )
        standing: Standing = "holds" if quality.is_evidence else "unknown"
        rows.append((cells, standing))
    columns = ("Question", "Human labels", "Sensitivity", "Specificity", "Kappa", "The judge")
    tables = [table(columns, rows)]
    if facts.unscored:
        tables.append(reasons_table(facts.unscored))
    return Section("Scoring", "quality_reviewer", tuple(text), tuple(tables))
