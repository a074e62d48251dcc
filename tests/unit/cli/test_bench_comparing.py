"""A comparison says what it rests on, and what else differs between the runs than what was to be compared."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from tests.fakes.bench_records import ENVIRONMENT, record
from voicectl.bench.run_record import RunRecord
from voicectl.bench.statistics.compare import Comparison, compare
from voicectl.cli.bench_comparing import comparison_document, comparison_exit_code, differences, print_comparison

BEFORE = record(30, 8, seed=9)
SLOWER = record(30, 8, seed=9, slower=1.5)


def printed(found: Comparison, run: RunRecord = BEFORE) -> list[str]:
    console = Console(width=80, highlight=False, color_system=None)
    with console.capture() as capture:
        print_comparison(console, found, run)
    return capture.get().splitlines()


def test_slower_run_is_exit_99_with_the_ratio_and_its_interval() -> None:
    found = compare(BEFORE, SLOWER, warm_up=0.0)
    assert comparison_exit_code(found) == 99
    lines = printed(found)
    assert lines[0].startswith("slower ")
    p50 = next(line for line in lines if line.startswith("P50"))
    assert "1.500" in p50
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("a turn of B is slower with probability") for line in lines)


def test_same_run_is_no_regression() -> None:
    found = compare(BEFORE, BEFORE, warm_up=0.0)
    assert comparison_exit_code(found) == 0
    assert not found.regressed


def test_runs_that_do_not_compare_are_exit_30_with_the_reason_alone() -> None:
    other = replace(BEFORE, plan=replace(BEFORE.plan, workload_digest="sha256:" + "cd" * 32))
    found = compare(BEFORE, other, warm_up=0.0)
    assert comparison_exit_code(found) == 30
    assert printed(found)[0].startswith("not comparable other workloads")


def test_document_says_whether_it_is_a_regression() -> None:
    document = comparison_document(compare(BEFORE, SLOWER, warm_up=0.0), Path("a"), Path("b"), 0.05)
    assert (document["regression"], document["outcome"], document["exit_code"]) == (True, "slower", 99)
    assert document["ratios"][0]["low"] > 1.05


def test_what_else_differs_is_named() -> None:
    other = replace(ENVIRONMENT, cores=4, server={"profile": "cpu", "stt": "faster-whisper-base.en"})
    assert differences(ENVIRONMENT, other) == [
        "cores 2 and 4",
        "server stt faster-whisper-tiny.en and faster-whisper-base.en",
    ]
    assert differences(ENVIRONMENT, replace(ENVIRONMENT, target="ws://127.0.0.1:9999")) == []
    peer = replace(ENVIRONMENT, private=False, target="wss://peer.example")
    assert differences(ENVIRONMENT, peer) == ["target private gateway, profile cpu and wss://peer.example"]
