"""Score finished calls while no call is in progress. The first call that begins stops it at once."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from voicectl.core.errors import ConfigError
from voicectl.governance.score.shelf import RECENT_S, Backlog, Records, backlog, calls_to_score
from voicectl.service.operations.metrics import Metrics
from voicectl.service.scoring.quiet import Quiet
from voicectl.service.scoring.scorer import Scorer, Scoring

log = structlog.get_logger(__name__)

Sleep = Callable[[float], Awaitable[None]]

BATCH: Final = 32
"""Calls that are looked up at once."""


@dataclass(frozen=True, slots=True)
class Pace:
    """When to score: `settle_s` after the last call, looking every `poll_s`, `rest_s` after the engine failed."""

    settle_s: float = 2.0
    poll_s: float = 30.0
    rest_s: float = 60.0


@dataclass(slots=True)
class ScoringHealth:
    """What scoring has done since the start, and what was left when it last looked; None before it did."""

    backlog: Backlog | None = None
    num_scored: int = 0
    num_failed: int = 0
    num_interrupted: int = 0
    num_database_errors: int = 0
    num_broken: int = 0


class BackgroundScoring:
    """The task of the gateway that scores. `run` it until it is cancelled; it never ends by itself."""

    def __init__(
        self,
        records: Records,
        scorer: Scorer,
        quiet: Quiet,
        *,
        pace: Pace | None = None,
        sleep: Sleep = asyncio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.health: Final = ScoringHealth()
        self._records = records
        self._scorer = scorer
        self._quiet = quiet
        self._pace = pace or Pace()
        self._sleep = sleep
        self._now = now

    async def run(self) -> None:
        """Score what is due whenever it is quiet, until cancelled."""
        while True:
            # What ends while this round looks is not seen by it, and is no reason to rest behind it.
            num_ended = self._quiet.num_ended
            try:
                num_done = await self._round()
            except Exception as error:  # the edge of the task: calls go on without it
                self.health.num_database_errors += isinstance(error, ConfigError)
                self.health.num_broken += not isinstance(error, ConfigError)
                trace = None if isinstance(error, ConfigError) else error
                log.warning("scoring_paused", error=str(error), rest_s=self._pace.rest_s, exc_info=trace)
                await self._sleep(self._pace.rest_s)
                continue
            if not num_done:
                await self._wait_for_work(num_ended)

    async def _round(self) -> int:
        """Score calls until none is due or it is no longer quiet; return how many were."""
        self.health.backlog = await asyncio.to_thread(self._look)
        num_done = 0
        for _, call_id in await asyncio.to_thread(self._due):
            if not await self._is_quiet():
                break
            done = await self._score(call_id)
            if done is None:
                break
            num_done += 1
            self.health.backlog = await asyncio.to_thread(self._look)
            if done.is_engine_down:
                # The others would only fail for the same reason.
                await self._sleep(self._pace.rest_s)
                break
        return num_done

    async def _is_quiet(self) -> bool:
        if not self._quiet.now:
            return False
        wait_s = self._quiet.settles_in_s(self._pace.settle_s)
        if wait_s > 0:
            await self._sleep(wait_s)
        return self._quiet.now

    async def _score(self, call_id: str) -> Scoring | None:
        """Score a call; None if another call began meanwhile."""
        async with asyncio.TaskGroup() as group:
            work = group.create_task(self._caught(call_id), name="score call")
            with self._quiet.cancelling(work):
                await asyncio.wait({work})
        if work.cancelled():
            self.health.num_interrupted += 1
            log.info("scoring_interrupted", call_id=call_id)
            return None
        done = work.result()
        if isinstance(done, ConfigError):
            raise done
        self.health.num_scored += done.outcome == "scored"
        self.health.num_failed += done.outcome == "failed"
        if done.outcome == "failed":
            log.warning("call_not_scored", call_id=call_id, reason=done.reason)
        return done

    async def _caught(self, call_id: str) -> Scoring | ConfigError:
        # Raised in the group it would come out wrapped, and end more than this round.
        try:
            return await self._scorer.score(call_id)
        except ConfigError as error:
            return error

    async def _wait_for_work(self, num_ended: int) -> None:
        try:
            async with asyncio.timeout(self._pace.poll_s):
                await self._quiet.more_ended(num_ended)
        except TimeoutError:
            return
        # The recorder writes the call down a moment after its end.
        await self._sleep(self._pace.settle_s)

    def _look(self) -> Backlog:
        with self._records.read() as connection:
            return backlog(connection, since=self._now() - RECENT_S)

    def _due(self) -> list[tuple[float, str]]:
        with self._records.read() as connection:
            return calls_to_score(
                connection,
                which="recent",
                judge_digest=self._scorer.judge.digest,
                now=self._now(),
                limit=BATCH,
                after=None,
            )


def tell_scoring(metrics: Metrics, health: ScoringHealth) -> None:
    """Tell how many calls wait for a score, could not be scored, and were."""
    metrics.watch_gauge(
        "voicectl_scoring_backlog",
        "Finished calls by why they have no score.",
        lambda: None if health.backlog is None else _of(health.backlog),
        ("state",),
    )
    metrics.watch_gauge(
        "voicectl_scoring_oldest_ended_at_seconds",
        "When the first call ended that waits for a score.",
        lambda: None if health.backlog is None else health.backlog.oldest_ended_at,
    )
    metrics.watch_counter(
        "voicectl_scoring_calls",
        "Calls by what became of scoring them.",
        lambda: {
            "scored": health.num_scored,
            "failed": health.num_failed,
            "interrupted": health.num_interrupted,
        },
        ("outcome",),
    )
    metrics.watch_counter(
        "voicectl_scoring_pauses",
        "Pauses of scoring by cause: the database, or a fault of our own.",
        lambda: {"database": health.num_database_errors, "fault": health.num_broken},
        ("cause",),
    )


def _of(found: Backlog) -> dict[str, float]:
    return {"pending": found.pending, "failed": found.failed}
