"""What a load test found, as figures and as a table. Pure; knows no call in progress."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from voicectl.bench.load import CallOutcome, TurnOutcome, lost, refused
from voicectl.bench.turns import STAGES
from voicectl.bench.usage import Spent

_RESAMPLES: Final = 2000
_SEED: Final = 3


@dataclass(frozen=True, slots=True)
class Quantiles:
    """A distribution; `p95_low` and `p95_high` bound the 95 % bootstrap interval of the P95."""

    count: int
    p50: float
    p95: float
    p99: float
    worst: float
    p95_low: float
    p95_high: float


def quantiles(values: Sequence[float]) -> Quantiles | None:
    """Return the distribution of `values`, None when there are none."""
    if not values:
        return None
    sample = np.array(values, dtype=np.float64)
    p50, p95, p99 = (float(value) for value in np.percentile(sample, [50, 95, 99]))
    low, high = p95, p95
    if sample.size <= 10_000:
        draws = np.random.default_rng(_SEED).choice(sample, (_RESAMPLES if sample.size <= 500 else 200, sample.size))
        low, high = (float(value) for value in np.percentile(np.percentile(draws, 95, axis=1), [2.5, 97.5]))
    return Quantiles(sample.size, p50, p95, p99, float(sample.max()), low, high)


@dataclass(frozen=True, slots=True)
class LevelReport:
    """One level of load. Times in milliseconds; `stages` and `overlapped` are medians."""

    num_calls: int
    num_turns: int
    answered: int
    unanswered: int
    cut_ins: int
    refused: int
    lost: int
    v2v: Quantiles | None
    eou_to_first_audio: Quantiles | None
    frame_late: Quantiles | None
    gaps: Quantiles | None
    replies: int
    caller_late: Quantiles | None
    server_late: dict[str, float | None]
    stages: dict[str, float | None]
    overlapped: dict[str, float | None]
    processes: list[Spent]
    wall_s: float
    failures: list[str]
    turns: list[dict[str, Any]]

    def document(self) -> dict[str, Any]:
        """Return everything as JSON knows it."""
        return asdict(self)


def report_level(
    outcomes: Sequence[CallOutcome],
    processes: Sequence[Spent],
    wall_s: float,
    num_turns: int,
    server_late: Mapping[str, float | None] | None = None,
) -> LevelReport:
    """Sum up one level. `num_turns` is how many turns each call meant to take: those of a lost call count too.

    `server_late` is what the server itself says of its punctuality, milliseconds by name.
    """
    turns = [turn for outcome in outcomes for turn in outcome.turns]
    verdicts = [turn.verdict for turn in turns]
    planned = len(outcomes) * num_turns
    pacings = [pacing for outcome in outcomes for pacing in outcome.pacing]
    return LevelReport(
        num_calls=len(outcomes),
        num_turns=planned,
        answered=verdicts.count("answered"),
        unanswered=verdicts.count("unanswered") + planned - len(turns),
        cut_ins=verdicts.count("cut-in"),
        refused=refused(outcomes),
        lost=lost(outcomes),
        v2v=quantiles([turn.report.v2v_ms for turn in turns if turn.report.v2v_ms is not None]),
        eou_to_first_audio=quantiles(
            [turn.report.eou_to_first_audio_ms for turn in turns if turn.report.eou_to_first_audio_ms is not None]
        ),
        frame_late=quantiles([1000 * late for pacing in pacings for late in pacing.late_s]),
        gaps=quantiles([1000 * gap for pacing in pacings for gap in pacing.gaps_s]),
        replies=len(pacings),
        caller_late=quantiles([1000 * late for outcome in outcomes for late in outcome.late_s]),
        server_late=dict(server_late or {}),
        stages={stage: _median([turn.report.stages_ms[stage] for turn in turns]) for stage in STAGES},
        overlapped={
            stage: _median([turn.report.overlapped_ms[stage] for turn in turns])
            for stage in (turns[0].report.overlapped_ms if turns else ())
        },
        processes=list(processes),
        wall_s=wall_s,
        failures=[f"call {outcome.call}: {outcome.failure}" for outcome in outcomes if outcome.failure]
        + [f"call {outcome.call}: {error}" for outcome in outcomes for error in outcome.errors],
        turns=[_turn_document(turn) for turn in turns],
    )


def level_lines(report: LevelReport) -> Iterator[str]:
    """Yield the rows of a Markdown table for one level."""
    turns = f"{report.answered} of {report.num_turns}"
    yield f"### {report.num_calls} calls, {report.wall_s:.0f} s"
    yield ""
    yield "| what | measured |"
    yield "|---|---|"
    yield f"| v2v | {shown(report.v2v)} |"
    yield f"| commit to first audio | {shown(report.eou_to_first_audio)} |"
    yield (
        f"| turns answered | {turns}; {report.unanswered} unanswered, {report.cut_ins} cut in,"
        f" {report.refused} calls refused, {report.lost} lost |"
    )
    yield f"| frame lateness | {shown(report.frame_late)} |"
    yield f"| gaps inside replies | {shown(report.gaps)} in {report.replies} replies |"
    yield f"| caller's own lateness | {shown(report.caller_late)} |"
    if any(value is not None for value in report.server_late.values()):
        yield f"| by the server's own account, ms | {_medians(report.server_late, 1)} |"
    yield f"| stages, median ms | {_medians(report.stages)} |"
    yield f"| of it overlapped, median ms | {_medians(report.overlapped)} |"
    used = ", ".join(f"{spent.name} {spent.cores:.2f}" for spent in report.processes)
    yield f"| cores used | {used} |"
    memory = ", ".join(f"{spent.name} {spent.rss_bytes / 2**20:.0f}" for spent in report.processes if spent.rss_bytes)
    yield f"| memory, MiB | {memory} |"
    for failure in report.failures[:10]:
        yield f"| failure | {failure} |"


def shown(found: Quantiles | None) -> str:
    """Return a distribution of milliseconds for people."""
    if found is None:
        return "none"
    digits = 1 if found.p95 < 20 else 0
    interval = f" [{found.p95_low:.{digits}f}–{found.p95_high:.{digits}f}]" if found.count <= 10_000 else ""
    return (
        f"P50 {found.p50:.{digits}f}, P95 {found.p95:.{digits}f}{interval},"
        f" P99 {found.p99:.{digits}f}, worst {found.worst:.{digits}f} ms (n = {found.count})"
    )


def _medians(values: Mapping[str, float | None], digits: int = 0) -> str:
    return ", ".join(f"{name} {'-' if value is None else f'{value:.{digits}f}'}" for name, value in values.items())


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def _turn_document(turn: TurnOutcome) -> dict[str, Any]:
    return {
        "call": turn.call,
        "turn": turn.turn,
        "utterance": turn.utterance,
        "began_at": round(turn.began_at, 3),
        "verdict": turn.verdict,
        **turn.report.document(),
    }
