"""`POST /v1/chat/completions`: asks the language model outside any call."""

import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from voicectl.core.errors import EngineError
from voicectl.core.events import TokenUsage, ToolCall
from voicectl.core.ports import ChatRequest, FinishReason, TextDelta
from voicectl.service.gateway import Gateway
from voicectl.service.rest import sse
from voicectl.service.rest.chat_answer import (
    AnswerMessage,
    AnswerToolCall,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    Delta,
    DeltaChoice,
    calls_of,
    usage_of,
)
from voicectl.service.rest.chat_request import ChatCompletionRequest, chat_request
from voicectl.service.rest.errors import REQUEST_FAILURES
from voicectl.service.rest.stops import StopScanner
from voicectl.service.rest.work import WorkSlots, while_connected

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Reply:
    """A reply while it is written: cut at the first stop text."""

    scanner: StopScanner
    text: str = ""
    finish: FinishReason = "stop"
    usage: TokenUsage | None = None
    tool_calls: tuple[ToolCall, ...] = ()

    def add(self, delta: TextDelta) -> str:
        """Take a piece over and return what of the text is new."""
        shown = self.scanner.push(delta.text)
        if delta.finish is not None:
            shown += self.scanner.flush()
            self.finish, self.usage, self.tool_calls = delta.finish, delta.usage, delta.tool_calls
        self.text += shown
        return shown


@dataclass(frozen=True, slots=True)
class Naming:
    """What all pieces of a completion have in common."""

    id: str
    created: int
    model: str

    def chunk(self, choice: DeltaChoice) -> ChatCompletionChunk:
        """Return a piece."""
        return ChatCompletionChunk(id=self.id, created=self.created, model=self.model, choices=[choice])


def chat_routes(gateway: Gateway, slots: WorkSlots) -> APIRouter:
    """Return the route of chat completions."""
    router = APIRouter(tags=["chat"])

    @router.post(
        "/v1/chat/completions",
        summary="Write a reply to a conversation",
        response_model=ChatCompletion,
        responses={
            200: {"content": {sse.MEDIA_TYPE: {}}, "description": "The reply."},
            **REQUEST_FAILURES,
        },
    )
    async def complete(
        sent: ChatCompletionRequest, request: Request, held: Annotated[AsyncExitStack, Depends(slots.slot)]
    ) -> Response:
        session_id = f"rest_{uuid4().hex[:24]}"
        asked = chat_request(sent, session_id, gateway.profile.llm)
        naming = Naming(f"chatcmpl-{uuid4().hex[:24]}", int(time.time()), gateway.model_name)
        held.push_async_callback(_forget, gateway, session_id)
        pieces = await held.enter_async_context(aclosing(_pieces(gateway, asked)))
        reply = Reply(StopScanner(sent.stops))
        if sent.stream:
            # What fails before the first word still gets a status of its own.
            first = await while_connected(request, anext(pieces))
            return sse.stream(_stream(first, pieces, reply, naming, with_usage=sent.wants_usage))
        await while_connected(request, _read(pieces, reply))
        return JSONResponse(_completion(reply, naming).model_dump(mode="json"))

    return router


async def _pieces(gateway: Gateway, asked: ChatRequest) -> AsyncGenerator[TextDelta, None]:
    deltas = gateway.language_model.generate(asked, timeout_s=gateway.profile.timeouts.llm_s)
    async with aclosing(deltas):
        async for delta in deltas:
            yield delta
            if delta.finish is not None:
                return
    raise EngineError("the language model ended its reply without a reason")


async def _forget(gateway: Gateway, session_id: str) -> None:
    try:
        await gateway.language_model.forget(session_id)
    except EngineError as error:
        log.debug("session_not_forgotten", session_id=session_id, error=error.message)


async def _read(pieces: AsyncGenerator[TextDelta, None], reply: Reply) -> None:
    async for piece in pieces:
        reply.add(piece)
        if reply.scanner.stopped:
            return


def _completion(reply: Reply, naming: Naming) -> ChatCompletion:
    calls: list[AnswerToolCall] = [
        AnswerToolCall(id=call.id, function=call.function) for call in calls_of(reply.tool_calls)
    ]
    message = AnswerMessage(content=reply.text or (None if calls else ""), tool_calls=calls or None)
    return ChatCompletion(
        id=naming.id,
        created=naming.created,
        model=naming.model,
        choices=[Choice(message=message, finish_reason=reply.finish)],
        usage=usage_of(reply.usage),
    )


async def _stream(
    first: TextDelta,
    pieces: AsyncGenerator[TextDelta, None],
    reply: Reply,
    naming: Naming,
    *,
    with_usage: bool,
) -> AsyncIterator[bytes]:
    yield _event(naming.chunk(DeltaChoice(delta=Delta(role="assistant", content=""))))
    piece: TextDelta | None = first
    while piece is not None:
        shown = reply.add(piece)
        if shown:
            yield _event(naming.chunk(DeltaChoice(delta=Delta(content=shown))))
        ended = reply.scanner.stopped or piece.finish is not None
        piece = None if ended else await anext(pieces)
    if reply.tool_calls:
        yield _event(naming.chunk(DeltaChoice(delta=Delta(tool_calls=calls_of(reply.tool_calls)))))
    yield _event(naming.chunk(DeltaChoice(delta=Delta(), finish_reason=reply.finish)))
    if with_usage and reply.usage is not None:
        total = ChatCompletionChunk(
            id=naming.id, created=naming.created, model=naming.model, choices=[], usage=usage_of(reply.usage)
        )
        yield _event(total)
    yield sse.DONE


def _event(chunk: ChatCompletionChunk) -> bytes:
    fields = chunk.model_dump(mode="json", exclude={"usage"} if chunk.usage is None else None)
    for choice in fields["choices"]:
        choice["delta"] = {name: value for name, value in choice["delta"].items() if value is not None}
    return sse.event(fields)
