"""How many calls come when: a figure with the shape of a day, or a table of one's own, read strictly."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from voicectl.core.errors import ConfigError, UsageError

MAX_BYTES: Final = 5_000_000
MOST_TOLD: Final = 20
"""Bad rows that an error names; it counts the rest."""
HOURS: Final = ("hour", "timestamp")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")

OFFICE_DAY: Final = (
    *(0.05, 0.03, 0.02, 0.02, 0.03, 0.06, 0.15, 0.40, 0.80, 1.00, 1.00, 0.92),
    *(0.80, 0.85, 0.92, 0.90, 0.80, 0.60, 0.42, 0.32, 0.25, 0.18, 0.12, 0.08),
)
"""Calls in each hour of a day against the busiest: a service desk with two humps, morning and afternoon."""
FLAT_DAY: Final = (1.0,) * 24
ENGLISH: Final = {"en": 1.0}
PROFILES: Final = {"office": OFFICE_DAY, "flat": FLAT_DAY}


@dataclass(frozen=True, slots=True)
class Demand:
    """Calls by hour, and what a call is.

    `calls` are those of consecutive hours, `starts` their names. `handle_s` is how long a call lasts, `talk_ratio`
    the part of it in which the caller speaks (None: as in the calibrated conversation), `languages` the part of the
    calls in each language; they add up to 1.
    """

    calls: tuple[float, ...]
    starts: tuple[str, ...]
    handle_s: float
    talk_ratio: float | None
    languages: dict[str, float]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.handle_s) and self.handle_s > 0):
            raise UsageError(f"a handle time of {self.handle_s} s is none", hint="for example --handle-time 180s")
        if self.talk_ratio is not None and not 0 < self.talk_ratio < 1:
            raise UsageError(f"a talk ratio of {self.talk_ratio} is none: name a share between 0 and 1")
        if not self.languages or abs(sum(self.languages.values()) - 1) > 1e-6:
            raise UsageError("the languages of a demand must add up to all calls", hint="for example --language en")

    @property
    def peak_calls(self) -> float:
        """Return the calls of the busiest hour."""
        return max(self.calls)

    @property
    def peak_start(self) -> str:
        """Return the name of the busiest hour."""
        return self.starts[self.calls.index(self.peak_calls)]

    @property
    def peak_erlangs(self) -> float:
        """Return the calls in progress on average in the busiest hour: calls a second times their length."""
        return self.peak_calls * self.handle_s / 3600

    @property
    def minutes_a_month(self) -> float:
        """Return the minutes of calls in 30.4 days like these hours."""
        return sum(self.calls) / len(self.calls) * 24 * 30.4 * self.handle_s / 60


def demand_of(
    calls_per_hour: float,
    handle_s: float,
    *,
    day: str = "office",
    talk_ratio: float | None = None,
    languages: Mapping[str, float] | None = None,
) -> Demand:
    """Return the demand whose busiest hour has `calls_per_hour`. Raises UsageError."""
    if not (math.isfinite(calls_per_hour) and calls_per_hour > 0):
        raise UsageError(f"{calls_per_hour} calls an hour are none", hint="for example --calls-per-hour 1200")
    if day not in PROFILES:
        raise UsageError(
            f"no day is called {day!r}", hint=f"there are {', '.join(PROFILES)}; or give --demand FILE.csv"
        )
    calls = tuple(calls_per_hour * share for share in PROFILES[day])
    starts = tuple(f"{hour:02d}:00" for hour in range(24))
    return Demand(calls, starts, handle_s, talk_ratio, dict(languages or ENGLISH))


def language_shares(given: Sequence[str]) -> dict[str, float]:
    """Return the part of the calls in each language, from `en` or `en=0.7`. Raises UsageError.

    Languages without a share have equal parts of what is left.
    """
    shares: dict[str, float | None] = {}
    for text in given:
        code, equals, share = text.partition("=")
        if not _LANGUAGE.fullmatch(code) or code in shares:
            raise UsageError(f"--language {text}: is no language, or given twice", hint="for example --language en=0.7")
        try:
            shares[code] = float(share) if equals else None
        except ValueError:
            raise UsageError(
                f"--language {text}: {share!r} is no share", hint="for example --language en=0.7"
            ) from None
    left = 1 - sum(share for share in shares.values() if share is not None)
    open_ones = [code for code, share in shares.items() if share is None]
    found = {code: left / len(open_ones) if share is None else share for code, share in shares.items()}
    if any(not 0 < share <= 1 for share in found.values()) or abs(sum(found.values()) - 1) > 1e-6:
        raise UsageError(f"the shares of {', '.join(found)} do not add up to 1", hint="for example en=0.7 and es=0.3")
    return found


def read_demand(
    path: Path, handle_s: float, *, talk_ratio: float | None = None, languages: Mapping[str, float] | None = None
) -> Demand:
    """Return the demand in a CSV file of columns `hour` (0 to 23) or `timestamp` (ISO 8601), and `calls`.

    Hours must follow one another without gaps. Raises ConfigError naming every row that is wrong.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError(f"{path}: {path.stat().st_size} bytes; the limit is {MAX_BYTES}")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}", hint="a CSV file with the columns hour,calls") from error
    try:
        names, calls = _rows(path, text)
    except csv.Error as error:
        raise ConfigError(f"{path}: is no table: {error}", hint="a CSV file with the columns hour,calls") from error
    if max(calls) <= 0:
        raise ConfigError(f"{path}: no hour has calls", hint="a plan needs at least one call")
    return Demand(tuple(calls), tuple(names), handle_s, talk_ratio, dict(languages or ENGLISH))


def _rows(path: Path, text: str) -> tuple[list[str], list[float]]:
    reader = csv.reader(io.StringIO(text))
    head = [cell.strip().lower() for cell in next(reader, [])]
    if len(head) != 2 or head[0] not in HOURS or head[1] != "calls":
        raise ConfigError(
            f"{path}: row 1: the columns are {','.join(head) or 'none'}, expected hour,calls or timestamp,calls",
            hint="hour is 0 to 23, timestamp is ISO 8601, one row an hour",
        )
    read = _Reading(by_hour=head[0] == "hour")
    for cells in reader:
        if any(cell.strip() for cell in cells):
            read.row(reader.line_num, [cell.strip() for cell in cells])
    problems = read.problems + read.gaps()
    if not read.calls and not problems:
        problems = [(1, "there are no rows behind the heading")]
    if problems:
        told = [f"row {row}: {what}" for row, what in sorted(problems)[:MOST_TOLD]]
        if len(problems) > MOST_TOLD:
            told.append(f"and {len(problems) - MOST_TOLD} more")
        raise ConfigError(
            f"{path}: " + "\n       ".join(told), hint="every hour once, in order, with its number of calls (0 if none)"
        )
    return read.names, read.calls


class _Reading:
    """The rows of a table so far, and what is wrong with them."""

    def __init__(self, *, by_hour: bool) -> None:
        self._by_hour = by_hour
        self._seen: dict[int | datetime, int] = {}
        self._order: list[tuple[int, int | datetime]] = []
        self.names: list[str] = []
        self.calls: list[float] = []
        self.problems: list[tuple[int, str]] = []

    def row(self, number: int, cells: list[str]) -> None:
        if len(cells) != 2:
            self.problems.append((number, f"{len(cells)} cells instead of 2"))
            return
        hour, calls = self._hour(number, cells[0]), self._calls(number, cells[1])
        if hour is not None:
            if hour in self._seen:
                self.problems.append((number, f"{cells[0]} was given in row {self._seen[hour]} already"))
                return
            self._seen[hour] = number
            self._order.append((number, hour))
        if hour is not None and calls is not None:
            self.names.append(f"{hour:02d}:00" if isinstance(hour, int) else hour.isoformat(" ", "minutes"))
            self.calls.append(calls)

    def gaps(self) -> list[tuple[int, str]]:
        """Return where an hour is missing or out of order; a day by hours must be whole."""
        found = []
        step: int | timedelta = 1 if self._by_hour else timedelta(hours=1)
        for (_, before), (number, after) in zip(self._order, self._order[1:], strict=False):
            wanted = before + step  # type: ignore[operator] # both of one kind
            if after != wanted:
                shown = wanted.isoformat(" ", "minutes") if isinstance(wanted, datetime) else str(wanted)
                found.append((number, f"a gap: expected {shown}"))
        if self._by_hour and self._order and not found:
            missing = [hour for hour in range(24) if hour not in self._seen]
            if missing:
                last = self._order[-1][0]
                found.append((last, f"a gap: hours {', '.join(map(str, missing))} are missing"))
        return found

    def _hour(self, number: int, text: str) -> int | datetime | None:
        if self._by_hour:
            if text.isdecimal() and int(text) < 24:
                return int(text)
            self.problems.append((number, f"{text!r} is no hour from 0 to 23"))
            return None
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            self.problems.append((number, f"{text!r} is no ISO 8601 time"))
            return None

    def _calls(self, number: int, text: str) -> float | None:
        try:
            calls = float(text)
        except ValueError:
            self.problems.append((number, f"{text!r} is no number of calls"))
            return None
        if not math.isfinite(calls) or calls < 0:
            self.problems.append((number, f"{text} calls cannot be"))
            return None
        return calls
