"""Score one call: read it, ask the judge, store the verdict. A call that cannot be scored is stored as such."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from voicectl.core.errors import ConfigError
from voicectl.governance.score.conversation import Conversation
from voicectl.governance.score.judgement import Judgement
from voicectl.governance.score.shelf import Records, human_scores, load_conversation, store_verdict
from voicectl.governance.score.verdict import Verdict, given_up, scored, unscorable
from voicectl.service.scoring.judge import LocalJudge, Unjudgeable

log = structlog.get_logger(__name__)

TRANSCRIPT_MISSING: Final = "the transcript is missing: it was not recorded, or its retention is over"

Outcome = Literal["scored", "failed", "gone"]


@dataclass(frozen=True, slots=True)
class Scoring:
    """What became of one call: `reason` is why it could not be scored."""

    call_id: str
    outcome: Outcome
    reason: str | None = None
    is_engine_down: bool = False


class Scorer:
    """Scores recorded calls with a judge. Blocking work runs on threads."""

    def __init__(self, records: Records, judge: LocalJudge, *, now: Callable[[], float] = time.time) -> None:
        self.judge: Final = judge
        self._records = records
        self._now = now

    async def score(self, call_id: str) -> Scoring:
        """Score a call and return what became of it. Cancelled before the verdict is known, it stores nothing.

        Raises ConfigError when the records cannot be read or written.
        """
        try:
            return await self._score(call_id)
        except ConfigError:
            raise
        except Exception as error:  # the edge of one call: the others are scored all the same
            log.exception("scoring_broke", call_id=call_id)
            reason = f"scoring broke on it: {type(error).__name__}: {error}"[:500]
            await asyncio.to_thread(self._write, call_id, given_up(reason))
            return Scoring(call_id, "failed", reason)

    async def _score(self, call_id: str) -> Scoring:
        found = await asyncio.to_thread(self._read, call_id)
        if found is None:
            return Scoring(call_id, "gone")
        conversation, humans = found
        judgement: Judgement | None = None
        failure: Unjudgeable | None = None
        if conversation.happened and not conversation.has_caller_text:
            failure = Unjudgeable(TRANSCRIPT_MISSING)
        elif conversation.happened:
            try:
                judgement = await self.judge.judge(conversation)
            except Unjudgeable as error:
                failure = error
        rubric = self.judge.rubric
        if failure is not None and conversation.call.score_state == "scored":
            # What an earlier judge could tell is worth more than that this one could not.
            return Scoring(call_id, "failed", f"{failure.message}; its earlier score stays", failure.is_engine_down)
        if failure is None:
            verdict = scored(conversation, rubric, judgement, humans)
        else:
            verdict = unscorable(conversation, rubric, failure.message, humans)
        is_there = await asyncio.to_thread(self._write, call_id, verdict)
        if not is_there:
            return Scoring(call_id, "gone")
        if failure is None:
            return Scoring(call_id, "scored")
        return Scoring(call_id, "failed", failure.message, failure.is_engine_down)

    def _read(self, call_id: str) -> tuple[Conversation, dict[str, float]] | None:
        with self._records.read() as connection:
            conversation = load_conversation(connection, call_id)
            return None if conversation is None else (conversation, human_scores(connection, call_id))

    def _write(self, call_id: str, verdict: Verdict) -> bool:
        with self._records.write() as connection:
            return store_verdict(
                connection,
                call_id,
                verdict,
                judge_digest=self.judge.digest,
                rubric_version=self.judge.rubric.version,
                at=self._now(),
            )
