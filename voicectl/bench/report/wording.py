"""How figures of a run are put into words, the same in every report. Knows no colour and no markup."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from voicectl.bench.run_record import Environment, LoadPlan, RunRecord
from voicectl.bench.summary import Distribution, Percentile, Proportion, RunSummary, SloOutcome
from voicectl.bench.turns import STAGES

NONE: Final = "–"
HEADLINES: Final[Mapping[str, str]] = {
    "v2v": "voice to voice",
    "eou_to_first_audio": "turn end to first audio",
    "barge_in_stop": "barge-in to silence",
    "setup": "call set-up",
}
"""The metrics that are told percentile by percentile; all others are stages."""
TOLD_STOLEN_SHARE: Final = 0.02
"""From when on it is told that a hypervisor gave processor time to others."""
_LAST: Final = len(STAGES)


def metric_name(metric: str) -> str:
    """Return what people call a metric."""
    return HEADLINES.get(metric, metric.removeprefix("stage_").replace("_", "-"))


def is_headline(distribution: Distribution) -> bool:
    """Tell whether a metric is told percentile by percentile."""
    return distribution.metric in HEADLINES


def headlines(summary: RunSummary) -> list[Distribution]:
    """Return the distributions that are told in full, those that were seen, most important first."""
    order = list(HEADLINES)
    seen = [found for found in summary.distributions if is_headline(found) and found.num]
    return sorted(seen, key=lambda found: order.index(found.metric))


def stages(summary: RunSummary) -> list[Distribution]:
    """Return the distributions of stages that were seen, in the order in which stages happen."""
    order = {stage: number for number, stage in enumerate(STAGES)}
    seen = [found for found in summary.distributions if not is_headline(found) and found.num]
    return sorted(seen, key=lambda found: order.get(found.metric.removeprefix("stage_"), _LAST))


def milliseconds(seconds: float | None) -> str:
    """Return a duration as milliseconds, without the unit: whole ones, or one decimal below 10."""
    if seconds is None:
        return NONE
    value = 1000 * seconds
    return f"{value:.1f}" if abs(value) < 9.95 else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """Return a share as percent."""
    return NONE if share is None else f"{100 * share:.1f} %"


def percentile_name(share: float) -> str:
    """Return P50, P99.9."""
    return f"P{100 * share:.10g}"


def percentile_value(found: Percentile) -> str:
    """Return the value in milliseconds, the bound that is known, or a dash."""
    if found.value is not None:
        return milliseconds(found.value)
    return f"≥ {milliseconds(found.at_least)}" if found.at_least is not None else NONE


def interval(found: Percentile) -> str:
    """Return the 95 % interval in milliseconds, or why there is no value."""
    if found.value is None and found.reason:
        return found.reason
    if found.low is None and found.high is None:
        return NONE
    low = milliseconds(found.low) if found.low is not None else "0"
    return f"{low} – {milliseconds(found.high) if found.high is not None else '∞'}"


def percentile_of(found: Distribution, share: float) -> Percentile | None:
    """Return one percentile of a distribution."""
    return next((one for one in found.percentiles if abs(one.share - share) < 1e-9), None)


def effective(found: Distribution) -> str:
    """Return the effective number of samples."""
    return NONE if found.num_effective is None else f"{found.num_effective:.0f}"


def proportion(found: Proportion) -> str:
    """Return a rate with its interval, or its count alone where there are too few events."""
    count = f"{found.num} of {found.of}"
    if found.rate is None:
        return f"{count} (too few for a rate)"
    if found.low is None or found.high is None:
        return f"{percent(found.rate)} ({count})"
    return f"{percent(found.rate)} [{100 * found.low:.1f} – {100 * found.high:.1f}] ({count})"


def slo_word(slo: SloOutcome, summary: RunSummary) -> str:
    """Return met, BREACHED, or unknown; nothing is met by a run that is INVALID."""
    if summary.verdict == "INVALID" or slo.met is None:
        return "unknown"
    return "met" if slo.met else "BREACHED"


def load_text(plan: LoadPlan) -> str:
    """Return the load that was asked for."""
    if plan.arrivals == "closed":
        load = f"{plan.concurrency} calls at a time" if plan.concurrency != 1 else "one call at a time"
    elif plan.calls_per_minute is not None:
        load = f"{plan.calls_per_minute:g} calls a minute, {plan.arrivals}"
    else:
        load = plan.arrivals
    if plan.burstiness is not None and plan.arrivals == "gamma":
        load += f" (burstiness {plan.burstiness:g})"
    return f"{plan.workload}, {load}, {duration(plan.duration_s)}, seed {plan.seed}"


def target_text(environment: Environment) -> str:
    """Return what was measured."""
    if not environment.private:
        return environment.target
    profile = environment.server.get("profile")
    return f"private gateway, profile {profile}" if profile else "private gateway"


def machine_text(environment: Environment) -> str:
    """Return where it was measured from."""
    memory = f"{environment.memory_bytes / 2**30:.0f} GiB"
    return f"{environment.machine}: {environment.processor}, {environment.cores} cores, {memory}"


def warm_up_text(summary: RunSummary) -> str:
    """Return what was dropped from the start of the run, and whether the rest is steady."""
    warm_up = summary.warm_up
    steady = "" if warm_up.steady else "; no steady state"
    if not warm_up.dropped_turns and not warm_up.dropped_s:
        return f"nothing dropped ({warm_up.method}){steady}"
    turns = "1 turn" if warm_up.dropped_turns == 1 else f"{warm_up.dropped_turns} turns"
    return f"first {warm_up.dropped_s:.1f} s dropped, {turns} ({warm_up.method}){steady}"


def generator_text(summary: RunSummary, record: RunRecord) -> str:
    """Return how punctual and how busy the generator was."""
    lag = "lag unknown" if summary.lag_p99_s is None else f"lag P99 {milliseconds(summary.lag_p99_s)} ms"
    stolen = record.health.stolen_share
    # A guest of a busy hypervisor is slower than itself, which no interval tells.
    lost = f", {100 * stolen:.0f} % of this machine's time went to other guests" if stolen >= TOLD_STOLEN_SHARE else ""
    return f"{lag}, busiest core {100 * summary.cpu_share:.0f} % of {record.health.cores}{lost}"


def calls_text(record: RunRecord) -> str:
    """Return how the calls ended."""
    ends = [call.end for call in record.calls]
    counts = [f"{ends.count(end)} {end}" for end in ("completed", "refused", "lost", "unfinished") if end in ends]
    return ", ".join(counts) or "none"


def rates_text(summary: RunSummary) -> str:
    """Return offered and achieved load, the most calls at once, and goodput."""
    text = (
        f"offered {summary.offered_calls_per_minute:.1f}, achieved {summary.achieved_calls_per_minute:.1f}"
        f" calls a minute; at most {summary.peak_concurrency} at once"
    )
    if summary.goodput_per_minute is not None:
        # Without a threshold every answer is good, and to call that goodput would promise more than it says.
        kind = "goodput" if summary.slos else "answered"
        text += f"; {kind} {summary.goodput_per_minute:.1f} turns a minute"
    return text


def duration(seconds: float) -> str:
    """Return a duration for people: 40 s, 2 min 5 s, 1 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 // 60 else "")


def instant(text: str) -> str:
    """Return an ISO 8601 instant for people, in UTC; what is none stays as it is."""
    try:
        return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return text
