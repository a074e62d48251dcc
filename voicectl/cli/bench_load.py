"""What load the options of `voicectl bench run` ask for. Pure; starts nothing."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from voicectl.core.errors import UsageError

if TYPE_CHECKING:
    from voicectl.bench.run_record import LoadPlan

DEFAULT_CALLS_PER_MINUTE: Final = 6.0
_UNITS_S: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(%?)")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|)")


class Arrivals(StrEnum):
    """How calls of an open loop spread over time."""

    poisson = "poisson"
    gamma = "gamma"
    constant = "constant"


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How calls come, as the command line says it; None is what was not said."""

    calls_per_minute: float | None = None
    concurrency: int | None = None
    arrivals: str | None = None
    burstiness: float | None = None
    trace: Path | None = None
    duration: str = "60s"
    seed: int = 1
    answer_timeout_s: float = 10.0


def parse_duration(text: str, option: str) -> float:
    """Return seconds for texts like 60s, 5m, 1.5h or 90. Raises UsageError."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise UsageError(f"{option} {text!r} is no duration", hint=f"for example {option} 60s, 5m or 1h")
    return float(found[1]) * _UNITS_S[found[2]]


def parse_share(text: str, option: str) -> float:
    """Return the share that texts like 5% or 0.05 mean. Raises UsageError."""
    found = _SHARE.fullmatch(text.strip())
    share = None if found is None else float(found[1]) / (100 if found[2] else 1)
    if share is None or share >= 1:
        raise UsageError(f"{option} {text!r} is no share below 100 %", hint=f"for example {option} 5%")
    return share


def load_plan(options: LoadOptions) -> "LoadPlan":
    """Return the plan, its workload still nameless. Raises UsageError for options that contradict each other."""
    from voicectl.bench.run_record import LoadPlan

    _refuse_contradictions(options)
    closed, traced = options.concurrency is not None, options.trace is not None
    arrivals = "closed" if closed else "trace" if traced else options.arrivals or "poisson"
    rate = options.calls_per_minute
    if not closed and not traced and rate is None:
        rate = DEFAULT_CALLS_PER_MINUTE
    return LoadPlan(
        workload="",
        workload_digest="",
        seed=options.seed,
        arrivals=arrivals,
        calls_per_minute=rate,
        concurrency=options.concurrency,
        burstiness=options.burstiness,
        duration_s=parse_duration(options.duration, "--duration"),
        answer_timeout_s=options.answer_timeout_s,
    )


def at_level(plan: "LoadPlan", level: float) -> "LoadPlan":
    """Return the plan at another load: so many callers of a closed loop, or so many calls a minute."""
    if plan.arrivals == "closed":
        return replace(plan, concurrency=round(level))
    return replace(plan, calls_per_minute=level)


def level_text(plan: "LoadPlan", level: float | None = None) -> str:
    """Return the load of a plan, or of the plan at another level, in a few words."""
    if plan.arrivals == "closed":
        callers = plan.concurrency if level is None else round(level)
        return "1 call at a time" if callers == 1 else f"{callers} calls at a time"
    return f"{plan.calls_per_minute if level is None else level:g} calls a minute"


def _refuse_contradictions(options: LoadOptions) -> None:
    given = {
        "--calls-per-minute": options.calls_per_minute is not None,
        "--concurrency": options.concurrency is not None,
        "--trace": options.trace is not None,
    }
    chosen = [option for option, is_given in given.items() if is_given]
    if len(chosen) > 1:
        raise UsageError(
            f"{' and '.join(chosen)} are different loads",
            hint="--calls-per-minute opens calls whatever the server does, --concurrency keeps so many open",
        )
    if options.arrivals is not None and chosen and chosen[0] != "--calls-per-minute":
        raise UsageError(f"--arrivals goes with --calls-per-minute, not with {chosen[0]}")
    if options.burstiness is not None and options.arrivals != "gamma":
        raise UsageError("--burstiness goes with --arrivals gamma")
    if options.arrivals == "gamma" and options.burstiness is None:
        raise UsageError("--arrivals gamma needs --burstiness", hint="1 is Poisson, less is burstier, more is steadier")
