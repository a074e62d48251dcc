"""Score calls from the command line, with an engine of its own that holds the language model alone."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from voicectl.core.errors import UsageError
from voicectl.core.profile import Profile
from voicectl.engine.engine import Engine, EngineOptions
from voicectl.governance.score.rubric import Rubric
from voicectl.governance.score.shelf import Backlog, Records, Which, backlog, calls_to_score, num_calls_to_score
from voicectl.governance.store.rows import call_of
from voicectl.service.app import model_roots
from voicectl.service.scoring.identity import digest_of, judge_limits
from voicectl.service.scoring.judge import LocalJudge
from voicectl.service.scoring.scorer import Scorer, Scoring

PAGE: Final = 256
MAX_REASONS: Final = 20
ENGINE_FAILURES: Final = 3
"""Calls in a row that the engine, not the call, let fail: then the others are left to another run."""


@dataclass(frozen=True, slots=True)
class ScoringRun:
    """What a run did: `failures` are the first calls that could not be scored. `left` is what remains.

    `stopped` is why the run ended early.
    """

    num_scored: int
    num_failed: int
    failures: tuple[Scoring, ...]
    left: Backlog
    judge_digest: str
    rubric_version: str
    stopped: str | None = None


def num_to_score(records: Records, profile: Profile, rubric: Rubric, *, which: Which, now: float) -> int:
    """Return how many calls there are to score."""
    with records.read() as connection:
        return num_calls_to_score(connection, which=which, judge_digest=digest_of(profile, rubric), now=now)


def nothing_to_score(records: Records, profile: Profile, rubric: Rubric) -> ScoringRun:
    """Return a run that had nothing to do, for which no model was started."""
    with records.read() as connection:
        return ScoringRun(0, 0, (), backlog(connection), digest_of(profile, rubric), rubric.version)


@asynccontextmanager
async def private_judge(profile: Profile, rubric: Rubric) -> AsyncIterator[LocalJudge]:
    """Start the language model and return a judge on it. Raises EngineError when it cannot start."""
    roots = model_roots(profile, ["llm"])
    async with Engine(profile, roots, stages=("llm",), options=EngineOptions(standby=False)) as engine:
        yield LocalJudge(
            engine.main_language_model, rubric, digest=digest_of(profile, rubric), limits=judge_limits(profile)
        )


async def score_calls(
    records: Records,
    judge: LocalJudge,
    *,
    which: Which,
    limit: int | None,
    now: float,
    on_done: Callable[[Scoring], None],
) -> ScoringRun:
    """Score calls one after the other, oldest first, at most `limit`; what was scored stays if it is stopped.

    An engine that is down ends the run, instead of letting every call fail for it.
    """
    scorer = Scorer(records, judge)
    done: list[Scoring] = []
    num_scored = num_failed = 0
    num_down = 0
    after: tuple[float, str] | None = None
    while num_down < ENGINE_FAILURES and (limit is None or num_scored + num_failed < limit):
        room = PAGE if limit is None else min(PAGE, limit - num_scored - num_failed)
        with records.read() as connection:
            page = calls_to_score(connection, which=which, judge_digest=judge.digest, now=now, limit=room, after=after)
        if not page:
            break
        for place in page:
            after = place
            outcome = await scorer.score(place[1])
            num_scored += outcome.outcome == "scored"
            num_failed += outcome.outcome == "failed"
            if outcome.outcome == "failed" and len(done) < MAX_REASONS:
                done.append(outcome)
            on_done(outcome)
            num_down = num_down + 1 if outcome.is_engine_down else 0
            if num_down == ENGINE_FAILURES:
                break
    stopped = f"the language model failed {num_down} calls in a row" if num_down == ENGINE_FAILURES else None
    return replace(_run(records, judge, num_scored, num_failed, done), stopped=stopped)


def require_finished(records: Records, call_id: str) -> None:
    """Raise UsageError when there is no call of that id, or it has not ended."""
    with records.read() as connection:
        call = call_of(connection, call_id)
    if call is None:
        raise UsageError(f"there is no call {call_id!r}", hint="see `voicectl calls list`")
    if call.ended_at is None:
        raise UsageError(
            f"call {call_id!r} has not ended: what is still to come would stay without a score",
            hint="score it when it is over; one whose gateway died gets its end from the next",
        )


async def score_call(records: Records, judge: LocalJudge, call_id: str) -> ScoringRun:
    """Score one call that has ended, whatever its state. Raises UsageError as `require_finished` does."""
    outcome = await Scorer(records, judge).score(call_id)
    if outcome.outcome in ("gone", "open"):
        require_finished(records, call_id)
    failures = [outcome] if outcome.outcome == "failed" else []
    return _run(records, judge, int(outcome.outcome == "scored"), len(failures), failures)


def _run(records: Records, judge: LocalJudge, num_scored: int, num_failed: int, failures: list[Scoring]) -> ScoringRun:
    with records.read() as connection:
        left = backlog(connection)
    return ScoringRun(num_scored, num_failed, tuple(failures), left, judge.digest, judge.rubric.version)
