"""Tests of what a hypervisor takes away, and of telling it."""

import dataclasses
from types import SimpleNamespace

import psutil
import pytest

from tests.fakes.bench_records import record
from voicectl.bench.report.wording import generator_text
from voicectl.bench.run_record import GeneratorHealth
from voicectl.bench.statistics.summarize import summarize
from voicectl.bench.usage import Stolen


def test_share_is_of_the_time_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {"user": 10.0, "nice": 1.0, "system": 2.0, "idle": 50.0, "iowait": 0.0, "irq": 0.0, "softirq": 0.0}
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(**times, steal=5.0))
    stolen = Stolen()
    times |= {"user": 13.0, "idle": 90.0}
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(**times, steal=6.0))
    assert stolen.share() == pytest.approx(0.25)


def test_systems_that_do_not_tell_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(user=1.0, nice=0.0, system=1.0, idle=9.0))
    assert Stolen().share() == 0.0


@pytest.mark.parametrize(("share", "told"), [(0.0, False), (0.014, False), (0.18, True)])
def test_lost_time_is_told_where_it_counts(share: float, told: bool) -> None:
    run = record(10, 4, seed=1)
    run = dataclasses.replace(run, health=GeneratorHealth(run.health.lag_s, 0.2, 2, share))
    text = generator_text(summarize(run), run)
    assert ("18 % of this machine's time went to other guests" in text) is told
