"""A chat completion as the OpenAI interface words it, whole or in pieces."""

from typing import Literal

from pydantic import BaseModel

from voicectl.core.events import TokenUsage, ToolCall
from voicectl.core.ports import FinishReason


class FunctionCall(BaseModel):
    """The function that is called; `arguments` is JSON text."""

    name: str
    arguments: str


class AnswerToolCall(BaseModel):
    """A call that the reply makes."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class AnswerMessage(BaseModel):
    """The reply."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    tool_calls: list[AnswerToolCall] | None = None


class Choice(BaseModel):
    """The one reply there is."""

    index: Literal[0] = 0
    message: AnswerMessage
    finish_reason: FinishReason
    logprobs: None = None


class CachedTokens(BaseModel):
    """Tokens of the prompt that needed no computing."""

    cached_tokens: int


class Usage(BaseModel):
    """What the reply cost, in tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class ChatCompletion(BaseModel):
    """A whole reply. `model` is the one that wrote it; `usage` is not known where a stop text ended it."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None


class DeltaToolCall(AnswerToolCall):
    """A call in a piece of a reply."""

    index: int


class Delta(BaseModel):
    """What is new in a piece."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[DeltaToolCall] | None = None


class DeltaChoice(BaseModel):
    """A piece of the one reply there is."""

    index: Literal[0] = 0
    delta: Delta
    finish_reason: FinishReason | None = None


class ChatCompletionChunk(BaseModel):
    """A piece of a reply."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[DeltaChoice]
    usage: Usage | None = None


def usage_of(cost: TokenUsage | None) -> Usage | None:
    """Return what a reply cost."""
    if cost is None:
        return None
    return Usage(
        prompt_tokens=cost.prompt_tokens,
        completion_tokens=cost.completion_tokens,
        total_tokens=cost.prompt_tokens + cost.completion_tokens,
        prompt_tokens_details=CachedTokens(cached_tokens=cost.cached_tokens),
    )


def calls_of(calls: tuple[ToolCall, ...]) -> list[DeltaToolCall]:
    """Return the calls of a reply."""
    return [
        DeltaToolCall(index=index, id=call.call_id, function=FunctionCall(name=call.name, arguments=call.arguments))
        for index, call in enumerate(calls)
    ]
