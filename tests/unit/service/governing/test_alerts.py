"""An alert that demotes is evaluated regularly; while nobody knows whether it stands, nothing is open."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest

from voicectl.core.errors import ConfigError
from voicectl.core.rollout import Refused
from voicectl.core.sections.governance import Governance
from voicectl.governance.policy.load import load_policy
from voicectl.governance.policy.schema import Policy
from voicectl.governance.rollout.state import Enforcement
from voicectl.service.governing.alerts import AlertWatch

PACKAGED = load_policy().policy
DEMOTING = PACKAGED.model_copy(
    update={"alerts": (PACKAGED.alerts[3].model_copy(update={"demote": True}), *PACKAGED.alerts[4:])}
)


class Bench:
    """A watch whose time passes in its sleeps alone, and whose evaluations go as told."""

    def __init__(self, policy: Policy, script: list[Mapping[str, str] | ConfigError]) -> None:
        self.time = 0.0
        self.enforced = Enforcement(policy, policy_sha256="a")
        self.script = script
        self.evaluated_at: list[float] = []
        settings = Governance(alerts_every_s=300, alerts_overdue_s=900)
        self.watch = AlertWatch(lambda: self.enforced, self._evaluate, settings, clock=self, sleep=self._sleep)
        self.until = 0.0

    def now(self) -> float:
        return self.time

    async def run(self, until: float) -> None:
        self.until = until
        with suppress(EOFError):
            await self.watch.run()

    async def _sleep(self, seconds: float) -> None:
        if self.time + seconds > self.until:
            raise EOFError
        self.time += seconds

    async def _evaluate(self) -> Mapping[str, str]:
        self.evaluated_at.append(self.time)
        outcome: Any = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(outcome, ConfigError):
            raise outcome
        return outcome  # type: ignore[no-any-return]


async def test_a_policy_without_alerts_that_demote_needs_no_evaluation() -> None:
    bench = Bench(PACKAGED, [{}])
    await bench.run(2000)
    await bench.watch.settled()
    assert bench.evaluated_at == []
    assert bench.watch.overdue("faq") is None


async def test_nothing_is_open_before_the_first_evaluation_which_comes_at_once() -> None:
    bench = Bench(DEMOTING, [{"faq": "flags"}])
    refused = bench.watch.overdue("faq")
    assert isinstance(refused, Refused) and refused.code == "alerts_overdue"
    await bench.run(700)
    assert bench.evaluated_at == [0.0, 300.0, 600.0]
    assert bench.watch.overdue("faq") is None
    assert (bench.watch.num_evaluated, bench.watch.num_demoted) == (3, 3)


async def test_when_evaluations_fail_everything_is_closed_after_its_time_and_reopened_by_the_next() -> None:
    bench = Bench(DEMOTING, [{}, *[ConfigError("locked")] * 3, {}])
    await bench.run(900)
    assert bench.watch.overdue("faq") is None
    await bench.run(901)
    assert bench.watch.overdue("faq") is not None
    assert bench.watch.num_failed == 3
    await bench.run(1200)
    assert bench.watch.overdue("faq") is None


async def test_another_policy_is_evaluated_at_once_and_closed_until_then() -> None:
    bench = Bench(DEMOTING, [{}])
    await bench.run(10)
    bench.enforced = Enforcement(DEMOTING, policy_sha256="b")
    assert bench.watch.overdue("faq") is not None
    await bench.run(12)
    assert bench.evaluated_at == [0.0, 10.0]
    assert bench.watch.overdue("faq") is None


@pytest.mark.parametrize("outcome", [{}, ConfigError("locked")])
async def test_the_first_try_settles_whatever_came_of_it(outcome: Any) -> None:
    bench = Bench(DEMOTING, [outcome])
    waiting = asyncio.ensure_future(bench.watch.settled())
    await asyncio.sleep(0)
    assert not waiting.done()
    await bench.run(1)
    await asyncio.wait_for(waiting, 5)
