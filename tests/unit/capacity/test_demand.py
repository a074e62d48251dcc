"""Tests of demand: figures, days, languages and tables that are wrong."""

from pathlib import Path

import pytest

from voicectl.capacity.demand import demand_of, language_shares, read_demand
from voicectl.core.errors import ConfigError, UsageError


def table(folder: Path, *rows: str, head: str = "hour,calls") -> Path:
    """Write a table."""
    path = folder / "demand.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def test_the_peak_offers_calls_a_second_times_their_length() -> None:
    demand = demand_of(1200, 180.0)
    assert demand.peak_erlangs == pytest.approx(60.0)
    assert demand.peak_start == "09:00"


def test_a_flat_day_has_the_same_calls_in_every_hour() -> None:
    assert demand_of(60, 60.0, day="flat").minutes_a_month == pytest.approx(60 * 24 * 30.4)


def test_a_table_by_hours_is_read(tmp_path: Path) -> None:
    demand = read_demand(table(tmp_path, *(f"{hour},{hour * 10}" for hour in range(24))), 120.0)
    assert (demand.peak_calls, demand.peak_start) == (230.0, "23:00")


def test_a_table_by_timestamps_is_read(tmp_path: Path) -> None:
    rows = ("2026-11-02T08:00,12", "2026-11-02T09:00,30", "2026-11-02T10:00,0")
    demand = read_demand(table(tmp_path, *rows, head="timestamp,calls"), 120.0)
    assert (demand.peak_calls, demand.peak_start) == (30.0, "2026-11-02 09:00")


def test_one_error_names_every_wrong_row(tmp_path: Path) -> None:
    rows = [f"{hour},5" for hour in range(24)]
    rows[3], rows[5], rows[7], rows[9] = "3,-1", "five,5", "7,many", "8,5"
    with pytest.raises(ConfigError) as caught:
        read_demand(table(tmp_path, *rows), 120.0)
    message = caught.value.message
    assert caught.value.exit_code == 3
    for words in ("row 5: -1 calls", "row 7: 'five'", "row 9: 'many'", "row 11: 8 was given in row 10"):
        assert words in message, message


@pytest.mark.parametrize(
    ("rows", "head", "words"),
    [
        (("0,1", "1,1", "3,1"), "hour,calls", "row 4: a gap: expected 2"),
        (("0,1", "1,1"), "hour,calls", "hours 2, 3"),
        (("2026-11-02T08:00,1", "2026-11-02T10:00,1"), "timestamp,calls", "a gap: expected 2026-11-02 09:00"),
        (("2026-11-02T08:00,nan",), "timestamp,calls", "nan calls cannot be"),
        (("1,2,3",), "hour,calls", "3 cells instead of 2"),
        ((), "hour,calls", "no rows"),
        (("0,1",), "when,calls", "the columns are when,calls"),
        (("0," + "1" * 200_000,), "hour,calls", "is no table: field larger than"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, rows: tuple[str, ...], head: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_demand(table(tmp_path, *rows, head=head), 120.0)
    assert words in caught.value.message


def test_a_table_without_calls_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no hour has calls"):
        read_demand(table(tmp_path, *(f"{hour},0" for hour in range(24))), 120.0)


def test_languages_without_a_share_divide_the_rest() -> None:
    assert language_shares(["en=0.5", "es", "fr"]) == {"en": 0.5, "es": 0.25, "fr": 0.25}


@pytest.mark.parametrize("given", [["en=0.5"], ["en=0.7", "es=0.7"], ["en", "en"], ["english!"], ["en=x"]])
def test_languages_that_do_not_add_up_are_refused(given: list[str]) -> None:
    with pytest.raises(UsageError):
        language_shares(given)


@pytest.mark.parametrize(("calls", "handle_s"), [(0, 60.0), (-5, 60.0), (float("nan"), 60.0), (10, 0.0)])
def test_demand_that_is_none_is_refused(calls: float, handle_s: float) -> None:
    with pytest.raises(UsageError):
        demand_of(calls, handle_s)
