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
from voicectl.governance.score.shelf import Records, Stored, load_conversation, store_verdict
from voicectl.governance.score.verdict import Verdict, given_up, scored, unscorable
from voicectl.service.scoring.judge import LocalJudge, Unjudgeable

log = structlog.get_logger(__name__)

TRANSCRIPT_MISSING: Final = "the transcript is missing: it was not recorded, or its retention is over"

Outcome = Literal["scored", "failed", "gone", "open"]
"""What became of a call: `gone` is none of that id, `open` is one that has not ended."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """What became of one call: `reason` is why it could not be scored."""

    call_id: str
    outcome: Outcome
    reason: str | None = None
    is_engine_down: bool = False


class Scorer:
    """Scores recorded calls with a judge. Blocking work, and work that grows with a call, runs on threads."""

    def __init__(self, records: Records, judge: LocalJudge, *, now: Callable[[], float] = time.time) -> None:
        self.judge: Final = judge
        self._records = records
        self._now = now

    async def score(self, call_id: str) -> Scoring:
        """Score a call and return what became of it. Cancelled before the verdict is known, it stores nothing.

        Raises ConfigError when the records cannot be read or written.
        """
        # Before the call is read: one that goes on from now on ends later than this, and so is scored again.
        began_at = self._now()
        conversation = await asyncio.to_thread(self._read, call_id)
        if conversation is None:
            return Scoring(call_id, "gone")
        if conversation.call.ended_at is None:
            return Scoring(call_id, "open")
        # A clock behind that of the records must not make a call wait for ever.
        at = max(began_at, conversation.call.ended_at)
        try:
            return await self._score(conversation, at)
        except ConfigError:
            raise
        except Exception as error:  # the edge of one call: the others are scored all the same
            log.exception("scoring_broke", call_id=call_id)
            broke = Unjudgeable(f"scoring broke on it: {type(error).__name__}: {error}"[:500])
            return await self._stored(call_id, given_up(conversation, broke.message), at, broke)

    async def _score(self, conversation: Conversation, at: float) -> Scoring:
        judgement: Judgement | None = None
        failure: Unjudgeable | None = None
        if not conversation.caller_was_silent:
            try:
                judgement = await self._judged(conversation)
            except Unjudgeable as error:
                failure = error
        rubric = self.judge.rubric
        if failure is None:
            verdict = await asyncio.to_thread(scored, conversation, rubric, judgement)
        else:
            verdict = await asyncio.to_thread(unscorable, conversation, rubric, failure.message)
        return await self._stored(conversation.call.call_id, verdict, at, failure)

    async def _judged(self, conversation: Conversation) -> Judgement:
        if not conversation.has_caller_text:
            raise Unjudgeable(TRANSCRIPT_MISSING)
        return await self.judge.judge(conversation)

    async def _stored(self, call_id: str, verdict: Verdict, at: float, failure: Unjudgeable | None) -> Scoring:
        stored = await asyncio.to_thread(self._write, call_id, verdict, at)
        is_down = failure is not None and failure.is_engine_down
        if stored in ("scored", "gone"):
            return Scoring(call_id, stored, is_engine_down=is_down)
        reason = None if failure is None else failure.message
        return Scoring(call_id, "failed", f"{reason}; its earlier score stays" if stored == "kept" else reason, is_down)

    def _read(self, call_id: str) -> Conversation | None:
        with self._records.read() as connection:
            return load_conversation(connection, call_id)

    def _write(self, call_id: str, verdict: Verdict, at: float) -> Stored:
        with self._records.write() as connection:
            return store_verdict(
                connection,
                call_id,
                verdict,
                judge_digest=self.judge.digest,
                rubric_version=self.judge.rubric.version,
                at=at,
            )
