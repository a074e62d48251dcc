"""The result fits 80 columns, its verdict comes first, and an INVALID run prints no figure as a result."""

from dataclasses import replace

from rich.console import Console

from tests.fakes.bench_records import BREACHED, ENVIRONMENT, MET, UNKNOWN, invalid, record, summary, with_failures
from voicectl.bench.run_record import RunRecord
from voicectl.bench.summary import RunSummary
from voicectl.cli.bench_table import print_run, print_workloads


def printed(run: RunRecord, summed: RunSummary, width: int = 80) -> list[str]:
    console = Console(width=width, highlight=False, color_system=None)
    with console.capture() as capture:
        print_run(console, run, summed, {"record": "run.json.gz", "junit": None})
    return capture.get().splitlines()


def test_verdict_comes_first_then_thresholds_then_figures() -> None:
    lines = printed(with_failures(record()), summary(slos=(MET, BREACHED, UNKNOWN)))
    assert lines[0] == "VALID  short-faq, 12 calls a minute, poisson, 1 min, seed 7"
    at = {
        word: next(n for n, line in enumerate(lines) if word in line) for word in ("BREACHED", "voice to voice", "vad")
    }
    assert at["BREACHED"] < at["voice to voice"] < at["vad"]
    assert "  P95  920  874 – 966" in "\n".join(lines)


def test_result_fits_80_columns() -> None:
    long = replace(ENVIRONMENT, private=False, target="wss://" + "a" * 120, processor="Very Long Processor Name " * 4)
    run = replace(with_failures(record()), environment=long)
    assert max(map(len, printed(run, summary(slos=(MET, BREACHED, UNKNOWN))))) <= 80


def test_invalid_run_gives_its_reason_before_any_figure() -> None:
    lines = printed(record(), invalid(summary(slos=(MET,)), "schedule lag P99 is 31 ms, above 10 ms"))
    assert lines[0].startswith("INVALID")
    assert lines[1] == "  schedule lag P99 is 31 ms, above 10 ms"
    said = next(n for n, line in enumerate(lines) if line.startswith("no measurement"))
    assert not any("P95" in line for line in lines[:said])
    assert not any(" met " in line for line in lines)


def test_what_a_server_says_is_no_markup() -> None:
    run = replace(record(), environment=replace(ENVIRONMENT, server={"model": "[bold]x[/nothing]"}))
    assert any("[bold]x[/nothing]" in line for line in printed(run, summary()))


def test_files_are_named_last() -> None:
    assert printed(record(), summary())[-1].split() == ["record", "run.json.gz"]


def test_workloads_are_listed_with_what_they_are() -> None:
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        print_workloads(console, [("short-faq", "Short calls.")])
    assert capture.get().split() == ["short-faq", "Short", "calls."]
