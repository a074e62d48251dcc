"""When calls begin, drawn before the run from its seed. Pure; knows no call."""

import csv
import itertools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import numpy as np

from voicectl.core.errors import ConfigError, UsageError

Arrivals = Literal["poisson", "gamma", "constant", "trace", "closed"]

MAX_CALLS: Final = 100_000
"""Most calls that one run may begin."""
MAX_TRACE_BYTES: Final = 4_000_000


def drawn_starts(
    arrivals: Arrivals, calls_per_minute: float, duration_s: float, *, seed: int, burstiness: float | None = None
) -> tuple[float, ...]:
    """Return when calls begin, seconds from the start of the run, all below `duration_s`.

    The gaps between calls have the mean 60 / `calls_per_minute`. "poisson" draws them from the exponential
    distribution, "gamma" from the gamma distribution of shape `burstiness` (1 is Poisson, less is burstier, more
    is steadier), "constant" makes them equal. Raises UsageError where that asks for what cannot be drawn.
    """
    _check_rate(calls_per_minute, duration_s)
    mean_s = 60.0 / calls_per_minute
    random = np.random.default_rng([seed, _STREAM])
    match arrivals:
        case "constant":
            gaps: Iterator[float] = itertools.chain([0.0], itertools.repeat(mean_s))
        case "poisson":
            gaps = (float(random.exponential(mean_s)) for _ in itertools.count())
        case "gamma":
            shape = _checked_shape(burstiness)
            gaps = (float(random.gamma(shape, mean_s / shape)) for _ in itertools.count())
        case _:
            raise UsageError(f"arrivals {arrivals!r} are not drawn at a rate")
    starts = tuple(itertools.takewhile(lambda at: at < duration_s, itertools.accumulate(gaps)))
    return _bounded(starts)


def read_trace(path: Path, duration_s: float | None = None) -> tuple[float, ...]:
    """Return the starts of a trace: a CSV whose first column is seconds, in any order, with or without a heading.

    What begins at or after `duration_s` is left out. Raises ConfigError, naming file and line.
    """
    try:
        if path.stat().st_size > MAX_TRACE_BYTES:
            raise ConfigError(f"{path}: {path.stat().st_size} bytes is no trace; the limit is {MAX_TRACE_BYTES}")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}", hint="a CSV of start times in seconds") from error
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise ConfigError(f"{path}: is no table: {error}", hint="a CSV of start times in seconds") from error
    starts = []
    for number, row in enumerate(rows, start=1):
        if not row or not row[0].strip():
            continue
        try:
            at = float(row[0])
        except ValueError as error:
            if number == 1:
                continue
            raise ConfigError(f"{path}: line {number}: {row[0]!r} is no number of seconds") from error
        if not math.isfinite(at) or at < 0:
            raise ConfigError(f"{path}: line {number}: a call cannot start at {row[0].strip()} s")
        starts.append(at)
    if not starts:
        raise ConfigError(f"{path}: holds no start times", hint="one call a line: its start in seconds")
    kept = sorted(at for at in starts if duration_s is None or at < duration_s)
    if not kept:
        raise ConfigError(f"{path}: its first call starts at {min(starts):g} s, the run ends at {duration_s:g} s")
    return _bounded(tuple(kept))


_STREAM: Final = 0x5747
"""Keeps the draw of arrivals apart from that of the calls' scripts, which share the seed."""


def _check_rate(calls_per_minute: float, duration_s: float) -> None:
    if not (math.isfinite(calls_per_minute) and calls_per_minute > 0):
        raise UsageError(f"{calls_per_minute:g} calls a minute cannot be drawn", hint="give a rate above 0")
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise UsageError(f"a run cannot last {duration_s:g} s", hint="give a duration above 0")
    if calls_per_minute / 60 * duration_s > MAX_CALLS:
        raise UsageError(
            f"{calls_per_minute:g} calls a minute for {duration_s:g} s are more than {MAX_CALLS} calls",
            hint="a shorter run, or a lower rate",
        )


def _checked_shape(burstiness: float | None) -> float:
    if burstiness is None or not math.isfinite(burstiness) or not 0.01 <= burstiness <= 100:
        raise UsageError(
            f"gamma arrivals need a burstiness of 0.01 to 100, not {burstiness}",
            hint="1 is Poisson, less is burstier, more is steadier",
        )
    return burstiness


def _bounded(starts: tuple[float, ...]) -> tuple[float, ...]:
    if len(starts) > MAX_CALLS:
        raise UsageError(f"{len(starts)} calls are more than one run may begin ({MAX_CALLS})")
    return starts
