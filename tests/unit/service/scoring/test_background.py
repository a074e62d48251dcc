"""Scoring waits for quiet, yields to the first call at once, and neither hides a failure nor ends the gateway."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import Any

import pytest
from sqlalchemy import Connection, insert, update

from tests.fakes.records import NOW, MemoryRecords, a_call, said
from tests.unit.service.scoring.test_judge import GOOD, ScriptedModel, judge_of
from voicectl.core.errors import ConfigError, UsageError, WorkerDied
from voicectl.core.ports import CallIdentity
from voicectl.governance.score.phrases import Phrase
from voicectl.governance.score.rubric import Rubric, packaged_rubric
from voicectl.governance.score.shelf import backlog
from voicectl.governance.store.tables import calls, turns
from voicectl.service.scoring.background import BackgroundScoring, Pace
from voicectl.service.scoring.judge import JudgeLimits, LocalJudge
from voicectl.service.scoring.offline import score_call
from voicectl.service.scoring.quiet import Quiet
from voicectl.service.scoring.scorer import Scorer

CALLER = CallIdentity("s1", None, 0.0, resumed=False, attributes={})


class Clock:
    time = 100.0

    def now(self) -> float:
        return self.time


class Bench:
    """Background scoring whose waits end at once; `run_until` runs it until something holds."""

    def __init__(self, records: Any, model: ScriptedModel, poll_s: float = 0.001) -> None:
        self.meanwhile: Callable[[], None] = lambda: None
        self.clock, self.model = Clock(), model
        self.quiet = Quiet(clock=self.clock)
        self.slept: list[float] = []
        self.work = BackgroundScoring(
            records,
            Scorer(records, judge_of(model), now=lambda: NOW),
            self.quiet,
            pace=Pace(settle_s=2.0, poll_s=poll_s, rest_s=60.0),
            sleep=self._sleep,
            now=lambda: NOW,
        )

    async def run_until(self, holds: Any) -> None:
        task = asyncio.ensure_future(self.work.run())
        try:
            async with asyncio.timeout(20):
                while not holds():
                    assert not task.done(), task.exception()
                    await asyncio.sleep(0.001)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.time += seconds
        self.meanwhile()
        await asyncio.sleep(0)


@pytest.fixture
def records() -> Iterator[MemoryRecords]:
    found = MemoryRecords()
    for number in range(3):
        found.add(a_call(f"c{number}"), *said(f"c{number}", ("hi", "Hello.")))
    yield found
    found.close()


async def test_all_that_waits_is_scored_when_it_is_quiet(records: MemoryRecords) -> None:
    bench = Bench(records, ScriptedModel([GOOD]))
    await bench.run_until(lambda: bench.work.health.num_scored == 3 and bench.work.health.backlog.pending == 0)
    assert records.call("c2").score_state == "scored"


async def test_a_call_is_scored_though_it_is_written_down_a_moment_after_its_end() -> None:
    records = MemoryRecords()
    bench = Bench(records, ScriptedModel([GOOD]), poll_s=60.0)

    def write_down() -> None:
        bench.meanwhile = lambda: None
        records.add(a_call("late"), *said("late", ("hi", "Hello.")))

    bench.meanwhile = write_down
    bench.quiet.call_started(CALLER)
    asyncio.get_running_loop().call_later(0.05, bench.quiet.call_ended, CALLER, "over")
    await bench.run_until(lambda: bench.work.health.num_scored == 1)
    records.close()


async def test_nothing_is_begun_while_a_call_is_in_progress(records: MemoryRecords) -> None:
    bench = Bench(records, ScriptedModel([GOOD]))
    bench.quiet.call_started(CALLER)
    rounds = iter(range(20))
    await bench.run_until(lambda: bench.work.health.backlog is not None and next(rounds, None) is None)
    assert bench.model.requests == []
    assert bench.work.health.backlog.pending == 3


async def test_a_call_that_begins_cancels_the_judge_and_loses_nothing(records: MemoryRecords) -> None:
    bench = Bench(records, ScriptedModel([None, GOOD]))
    run = asyncio.ensure_future(bench.run_until(lambda: bench.work.health.num_scored == 3))
    await bench.model.asked.wait()
    bench.quiet.call_started(CALLER)
    await asyncio.sleep(0.01)
    assert (bench.model.num_cancelled, bench.work.health.num_interrupted) == (1, 1)
    assert records.call("c0").score_state == "pending"
    bench.quiet.call_ended(CALLER, "hung up")
    await run
    assert bench.slept[0] == 2.0


async def test_a_model_that_is_down_fails_one_call_and_rests(records: MemoryRecords) -> None:
    bench = Bench(records, ScriptedModel([WorkerDied("gone")]))
    await bench.run_until(lambda: 60.0 in bench.slept)
    failed = records.call("c0")
    assert failed.score_state == "failed"
    assert failed.compliance_flagged is None
    assert "gone" in next(row.explanation for row in records.scores("c0") if row.name == "scoring")


async def test_the_backlog_is_told_after_every_call(records: MemoryRecords) -> None:
    bench = Bench(records, ScriptedModel([GOOD, GOOD, None]))
    await bench.run_until(lambda: len(bench.model.requests) == 3)
    assert (bench.work.health.num_scored, bench.work.health.backlog.pending) == (2, 1)


async def test_a_call_that_went_on_is_scored_for_all_that_it_is(records: MemoryRecords) -> None:
    bench = Bench(records, ScriptedModel([GOOD]))
    await bench.run_until(lambda: bench.work.health.num_scored == 3)
    with records.write() as connection:
        connection.execute(update(calls).where(calls.c.call_id == "c1").values(ended_at=NOW + 50))
        turn = {"call_id": "c1", "turn": 1, "transcript": "I want to opt out", "reply": "Fine.", "interrupted": False}
        connection.execute(insert(turns).values(**turn))
    await bench.run_until(lambda: bench.work.health.num_scored == 4)
    assert "opt_out_ignored" in {row.name for row in records.scores("c1")}
    await bench.run_until(lambda: bench.work.health.backlog.pending == 0)
    assert bench.work.health.num_scored == 4, "a clock behind that of the records does not score it for ever"


async def test_a_call_that_goes_on_while_it_is_judged_waits_again(records: MemoryRecords) -> None:
    class Slow(ScriptedModel):
        async def forget(self, session_id: str) -> None:
            with records.write() as connection:
                connection.execute(update(calls).where(calls.c.call_id == "c0").values(ended_at=NOW + 5))

    times = iter((NOW, NOW + 9))
    await Scorer(records, judge_of(Slow([GOOD])), now=lambda: next(times)).score("c0")
    with records.read() as connection:
        assert backlog(connection).pending == 3


async def test_a_call_in_progress_is_not_scored(records: MemoryRecords) -> None:
    records.add(a_call("live", ended_at=None), *said("live", ("hi", "Hello.")))
    with pytest.raises(UsageError, match="has not ended"):
        await score_call(records, judge_of(ScriptedModel([GOOD])), "live")
    with pytest.raises(UsageError, match="no call"):
        await score_call(records, judge_of(ScriptedModel([GOOD])), "none")
    assert records.call("live").score_state == "pending"
    assert (await score_call(records, judge_of(ScriptedModel([GOOD])), "c0")).num_scored == 1


async def test_a_call_in_which_the_agent_alone_spoke_needs_no_judge(records: MemoryRecords) -> None:
    model = ScriptedModel([GOOD])
    records.add(a_call("greeted", num_redactions=0, num_turns=1), *said("greeted", (None, "Hello, a robot speaks.")))
    assert (await Scorer(records, judge_of(model)).score("greeted")).outcome == "scored"
    call = records.call("greeted")
    assert (call.resolved, call.compliance_flagged, model.requests) == (False, False, [])


async def test_rules_run_beside_the_event_loop(records: MemoryRecords) -> None:
    threads: list[threading.Thread] = []

    class Watched(Rubric):
        @cached_property
        def matchers(self) -> dict[str, Phrase]:
            threads.append(threading.current_thread())
            return super().matchers

    rubric = Watched.model_validate(packaged_rubric().model_dump())
    model: Any = ScriptedModel([GOOD])
    judge = LocalJudge(model, rubric, digest="d", limits=JudgeLimits(context_tokens=2048))
    assert (await Scorer(records, judge).score("c0")).outcome == "scored"
    assert threads
    assert threading.main_thread() not in threads


async def test_humans_score_a_call_without_a_transcript(records: MemoryRecords) -> None:
    records.add(a_call("mute", num_turns=1), *said("mute", ("", None)))
    scorer = Scorer(records, judge_of(ScriptedModel([GOOD])))
    assert (await scorer.score("mute")).outcome == "failed"
    records.review("mute", "resolved", 1.0)
    records.review("mute", "compliance_flagged", 0.0)
    assert (await scorer.score("mute")).outcome == "scored"


async def test_without_a_transcript_a_call_fails_with_that_reason_and_no_request(records: MemoryRecords) -> None:
    empty = MemoryRecords()
    empty.add(a_call("mute"), *said("mute", (None, "Hello.")))
    bench = Bench(empty, ScriptedModel([GOOD]))
    await bench.run_until(lambda: bench.work.health.num_failed == 1)
    assert bench.model.requests == []
    assert "transcript is missing" in empty.scores("mute")[-1].explanation
    empty.close()


class BrokenRecords:
    """Records that nobody can read for a while."""

    def __init__(self, records: MemoryRecords, num_failures: int) -> None:
        self._records, self._left = records, num_failures

    def read(self) -> AbstractContextManager[Connection]:
        if self._left:
            self._left -= 1
            raise ConfigError("locked")
        return self._records.read()

    def write(self) -> AbstractContextManager[Connection]:
        return self._records.write()


async def test_records_that_cannot_be_read_are_waited_for(records: MemoryRecords) -> None:
    bench = Bench(BrokenRecords(records, 2), ScriptedModel([GOOD]))
    await bench.run_until(lambda: bench.work.health.num_scored == 3)
    assert (bench.work.health.num_database_errors, bench.slept[:2]) == (2, [60.0, 60.0])


async def test_a_call_on_which_scoring_breaks_does_not_stop_the_others(records: MemoryRecords) -> None:
    class Broken(ScriptedModel):
        async def forget(self, session_id: str) -> None:
            if len(self.requests) == 1:
                raise ZeroDivisionError("a bug")

    bench = Bench(records, Broken([GOOD]))
    await bench.run_until(lambda: bench.work.health.num_scored == 2)
    assert "scoring broke on it: ZeroDivisionError" in records.scores("c0")[-1].explanation


async def test_what_was_said_of_the_first_part_goes_when_scoring_breaks_on_the_whole(records: MemoryRecords) -> None:
    class Broken(ScriptedModel):
        async def forget(self, session_id: str) -> None:
            raise ZeroDivisionError("a bug")

    await Scorer(records, judge_of(ScriptedModel([GOOD])), now=lambda: NOW).score("c0")
    assert records.call("c0").resolved is True
    with records.write() as connection:
        connection.execute(update(calls).where(calls.c.call_id == "c0").values(ended_at=NOW + 50))
    await Scorer(records, judge_of(Broken([GOOD])), now=lambda: NOW + 20).score("c0")
    call = records.call("c0")
    assert (call.score_state, call.resolved, call.compliance_flagged, call.scored_at) == (
        "failed",
        None,
        None,
        NOW + 50,
    )


async def test_a_score_is_not_replaced_because_scoring_broke(records: MemoryRecords) -> None:
    class Broken(ScriptedModel):
        async def forget(self, session_id: str) -> None:
            raise ZeroDivisionError("a bug")

    await Scorer(records, judge_of(ScriptedModel([GOOD]))).score("c0")
    again = await Scorer(records, judge_of(Broken([GOOD]))).score("c0")
    assert (again.outcome, records.call("c0").score_state) == ("failed", "scored")
    assert "its earlier score stays" in str(again.reason)


async def test_a_score_is_not_replaced_by_a_failure(records: MemoryRecords) -> None:
    assert (await Scorer(records, judge_of(ScriptedModel([GOOD]))).score("c0")).outcome == "scored"
    again = await Scorer(records, judge_of(ScriptedModel(["no"]))).score("c0")
    assert (again.outcome, records.call("c0").score_state) == ("failed", "scored")
    assert "its earlier score stays" in str(again.reason)


async def test_a_call_that_ended_while_work_was_looked_for_is_known() -> None:
    quiet = Quiet()
    quiet.call_started(CALLER)
    seen = quiet.num_ended
    quiet.call_ended(CALLER, "over")
    async with asyncio.timeout(1):
        await quiet.more_ended(seen)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await quiet.more_ended(quiet.num_ended)
