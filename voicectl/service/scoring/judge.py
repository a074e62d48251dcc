"""Ask the local language model for a judgement: a bounded number of attempts, each with its time limit."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

import structlog

from voicectl.core.errors import EngineError, VoicectlError
from voicectl.core.ports import ChatRequest, LanguageModel, Message, Priority
from voicectl.governance.score.conversation import Conversation
from voicectl.governance.score.judgement import Judgement, MalformedJudgement, parse_judgement, reply_schema
from voicectl.governance.score.prompt import judge_messages
from voicectl.governance.score.rubric import Rubric

log = structlog.get_logger(__name__)

SESSION: Final = "post-call-scoring"
RETRY_TEMPERATURE: Final = 0.4
"""The first attempt is greedy; a later one has to come to something else."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class JudgeLimits:
    """How long and how often the judge is asked, and how much it may read and write."""

    context_tokens: int
    reply_tokens: int = 256
    timeout_s: float = 120.0
    attempts: int = 3
    pause_s: float = 1.0


class Unjudgeable(VoicectlError):
    """The judge came to nothing; `is_engine_down` tells whether the engine, not the reply, was at fault."""

    exit_code = 3

    def __init__(self, message: str, *, is_engine_down: bool = False) -> None:
        super().__init__(message)
        self.is_engine_down = is_engine_down


class LocalJudge:
    """The language model as a judge by a rubric. `digest` names both."""

    def __init__(
        self,
        model: LanguageModel,
        rubric: Rubric,
        *,
        digest: str,
        limits: JudgeLimits,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.rubric: Final = rubric
        self.digest: Final = digest
        self._model = model
        self._limits = limits
        self._sleep = sleep
        self._schema = json.dumps(reply_schema(rubric))

    async def judge(self, conversation: Conversation) -> Judgement:
        """Return the judgement of a conversation. Raises Unjudgeable after the last attempt.

        Cancelling it cancels the request.
        """
        limits = self._limits
        room = limits.context_tokens - limits.reply_tokens
        messages = await asyncio.to_thread(judge_messages, conversation, self.rubric, context_tokens=room)
        failure: VoicectlError | None = None
        try:
            for attempt in range(limits.attempts):
                if isinstance(failure, EngineError):
                    await self._sleep(limits.pause_s)
                try:
                    reply = await self._reply(messages, attempt)
                    return parse_judgement(reply, self.rubric, was_transferred=conversation.call.transfer_attempted)
                except (EngineError, MalformedJudgement) as error:
                    failure = error
                    log.info("judgement_failed", call_id=conversation.call.call_id, attempt=attempt, error=str(error))
        finally:
            with contextlib.suppress(EngineError):
                await self._model.forget(SESSION)
        raise Unjudgeable(
            f"{limits.attempts} attempts: {failure.message if failure else 'none was made'}",
            is_engine_down=isinstance(failure, EngineError),
        )

    async def _reply(self, messages: tuple[Message, ...], attempt: int) -> str:
        request = ChatRequest(
            session_id=SESSION,
            messages=messages,
            max_tokens=self._limits.reply_tokens,
            temperature=RETRY_TEMPERATURE if attempt else 0.0,
            top_p=0.95,
            top_k=40,
            seed=attempt,
            # No caller waits for it: every reply to a call goes first.
            priority=Priority.PARTIAL,
            tool_choice="none",
            schema=self._schema,
        )
        text, finish = "", None
        async with aclosing(self._model.generate(request, timeout_s=self._limits.timeout_s)) as pieces:
            async for piece in pieces:
                text += piece.text
                finish = piece.finish or finish
        if finish != "stop":
            raise MalformedJudgement(f"the judge's reply ended by {finish or 'nothing'} after {len(text)} characters")
        return text
