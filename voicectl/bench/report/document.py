"""A judged run as one JSON document, and the exit code that goes with it. Pure.

Keys: `docs/bench.md`, "The document". Durations are seconds, shares run from 0 to 1, null is unknown.
"""

import dataclasses
from typing import Any, Final

from voicectl.bench.report.wording import percentile_name
from voicectl.bench.run_record import RunRecord
from voicectl.bench.summary import Distribution, RunSummary

DOCUMENT_FORMAT: Final = 1
EXIT_INVALID: Final = 30
EXIT_BREACHED: Final = 99


def exit_code(summary: RunSummary) -> int:
    """Return 30 for an INVALID run, 99 for a threshold that was not shown to be met, else 0."""
    if summary.verdict == "INVALID":
        return EXIT_INVALID
    return EXIT_BREACHED if any(slo.met is not True for slo in summary.slos) else 0


def run_document(record: RunRecord, summary: RunSummary) -> dict[str, Any]:
    """Return the document. Figures of an INVALID run are under `observed`, never under `metrics`."""
    figures = {
        "latencies": {found.metric: _distribution(found) for found in summary.distributions},
        "rates": {found.name: _without(dataclasses.asdict(found), "name") for found in summary.proportions},
        "wer": summary.wer,
        "goodput_per_minute": summary.goodput_per_minute,
    }
    valid = summary.verdict == "VALID"
    return {
        "format": DOCUMENT_FORMAT,
        "verdict": summary.verdict,
        "reasons": list(summary.reasons),
        "exit_code": exit_code(summary),
        "slos": [
            {**dataclasses.asdict(slo), "met": slo.met if valid else None, "value": slo.value if valid else None}
            for slo in summary.slos
        ],
        "metrics": figures if valid else None,
        "observed": None if valid else figures,
        "load": {
            "offered_calls_per_minute": summary.offered_calls_per_minute,
            "achieved_calls_per_minute": summary.achieved_calls_per_minute,
            "peak_concurrency": summary.peak_concurrency,
            "calls": _ends(record),
        },
        "warm_up": dataclasses.asdict(summary.warm_up),
        "generator": {
            "lag_p99_s": summary.lag_p99_s,
            "cpu_share": summary.cpu_share,
            "cores": record.health.cores,
            "stolen_share": record.health.stolen_share,
        },
        "begun_at": record.begun_at,
        "wall_s": record.wall_s,
        "plan": dataclasses.asdict(record.plan),
        "environment": dataclasses.asdict(record.environment),
    }


def _distribution(found: Distribution) -> dict[str, Any]:
    shown = _without(dataclasses.asdict(found), "metric", "percentiles")
    percentiles = {
        percentile_name(one.share).lower(): _without(dataclasses.asdict(one), "share") for one in found.percentiles
    }
    return {**shown, "percentiles": percentiles}


def _ends(record: RunRecord) -> dict[str, int]:
    ends = [call.end for call in record.calls]
    return {end: ends.count(end) for end in ("completed", "refused", "lost", "unfinished")}


def _without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}
