"""The body of a chat completion, and what it means for the language model. Knows no HTTP."""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from voicectl.core.events import Tool, ToolCall, ToolChoice
from voicectl.core.ports import ChatRequest, Message, Priority
from voicectl.core.sections.engine import LlmSettings
from voicectl.service.http.problem import invalid

MAX_MESSAGES: Final = 1000
MAX_TOOLS: Final = 128
MAX_STOPS: Final = 4
LEAST_DEFAULT_TOKENS: Final = 256
"""A reply's limit where the client names none: a telephone's short one is no good for programs."""
_UNSUPPORTED: Final = "unsupported_parameter"
_NAME: Final = r"^[a-zA-Z0-9_-]{1,64}$"
_SEEDS: Final = 2**32


class _Sent(BaseModel):
    """What a client sends: a slip of the pen is refused, as an unknown field or `true` for a number is."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TextPart(_Sent):
    """A piece of a message."""

    type: Literal["text"]
    text: str


Content = str | Annotated[list[TextPart], Field(max_length=MAX_MESSAGES)]


class CalledFunction(_Sent):
    """The function that a reply called."""

    name: str = Field(pattern=_NAME)
    arguments: str


class SentToolCall(_Sent):
    """A call that an earlier reply made."""

    id: str = Field(min_length=1, max_length=128)
    type: Literal["function"]
    function: CalledFunction


class SystemMessage(_Sent):
    """Instructions."""

    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(_Sent):
    """What the user said. Text only: images and sound are not understood."""

    role: Literal["user"]
    content: Content
    name: str | None = None


class AssistantMessage(_Sent):
    """An earlier reply."""

    role: Literal["assistant"]
    content: Content | None = None
    tool_calls: list[SentToolCall] | None = Field(default=None, max_length=MAX_TOOLS)
    name: str | None = None
    refusal: None = None
    audio: None = None
    annotations: list[Any] | None = None
    function_call: None = None


class ToolMessage(_Sent):
    """What a function returned."""

    role: Literal["tool"]
    content: Content
    tool_call_id: str = Field(min_length=1, max_length=128)


SentMessage = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class SentFunction(_Sent):
    """A function that a reply may call. `parameters` is a JSON schema."""

    name: str = Field(pattern=_NAME)
    description: str = Field(default="", max_length=10_000)
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None


class SentTool(_Sent):
    """A tool; only functions are known."""

    type: Literal["function"]
    function: SentFunction


class NamedFunction(_Sent):
    """A function by name."""

    name: str = Field(pattern=_NAME)


class ForcedTool(_Sent):
    """Demands the call of one function."""

    type: Literal["function"]
    function: NamedFunction


class SchemaFormat(_Sent):
    """A schema with its name."""

    name: str = Field(pattern=_NAME)
    description: str | None = None
    schema_: dict[str, Any] = Field(default_factory=dict, alias="schema")
    strict: bool | None = None


class TextFormat(_Sent):
    """A reply in free words."""

    type: Literal["text"]


class JsonFormat(_Sent):
    """A reply that is any JSON object."""

    type: Literal["json_object"]


class JsonSchemaFormat(_Sent):
    """A reply that follows a schema."""

    type: Literal["json_schema"]
    json_schema: SchemaFormat


class StreamOptions(_Sent):
    """What a stream tells beside the reply."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class ChatCompletionRequest(_Sent):
    """A reply to write.

    `model` may be any name: the profile decides which model answers, and the reply says which did. Fields
    that change nothing here are accepted where stock clients send them; what cannot be honoured is refused.
    """

    model: str = Field(max_length=200)
    messages: list[SentMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: str | Annotated[list[str], Field(max_length=MAX_STOPS)] | None = None
    n: int | None = Field(default=None, ge=1, le=1, description="Only 1.")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[SentTool] | None = Field(default=None, max_length=MAX_TOOLS)
    tool_choice: Literal["none", "auto", "required"] | ForcedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: Annotated[TextFormat | JsonFormat | JsonSchemaFormat, Field(discriminator="type")] | None = None
    modalities: list[Literal["text"]] | None = None
    frequency_penalty: float | None = Field(default=None, ge=0, le=0, description="Only 0.")
    presence_penalty: float | None = Field(default=None, ge=0, le=0, description="Only 0.")
    logprobs: Literal[False] | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=0, description="Only 0.")
    logit_bias: dict[str, int] | None = Field(default=None, max_length=0, description="Only {}.")
    user: str | None = Field(default=None, description="Changes nothing.")
    store: bool | None = Field(default=None, description="Nothing is stored, whatever it says.")
    metadata: dict[str, str] | None = Field(default=None, description="Changes nothing.")
    service_tier: str | None = Field(default=None, description="Changes nothing.")
    safety_identifier: str | None = Field(default=None, description="Changes nothing.")
    prompt_cache_key: str | None = Field(default=None, description="Changes nothing.")
    reasoning_effort: str | None = Field(default=None, description="Changes nothing.")
    verbosity: str | None = Field(default=None, description="Changes nothing.")

    @field_validator("stop")
    @classmethod
    def _no_empty_stop(cls, stop: str | list[str] | None) -> str | list[str] | None:
        if stop == "" or (isinstance(stop, list) and "" in stop):
            raise ValueError("a stop text has at least one character")
        return stop

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end a reply."""
        if self.stop is None:
            return ()
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with what the reply cost."""
        return self.stream_options is not None and self.stream_options.include_usage is True


def chat_request(sent: ChatCompletionRequest, session_id: str, llm: LlmSettings) -> ChatRequest:
    """Return what the language model is asked; what the client leaves open is the profile's. Raises Problem."""
    tools = tuple(_tool(tool.function) for tool in sent.tools or ())
    choice, forced = _choice(sent, tools)
    schema = _schema(sent)
    if schema is not None and choice == "required":
        raise invalid(_UNSUPPORTED, "a reply is a call or follows a format, not both", param="response_format")
    limit = sent.max_completion_tokens or sent.max_tokens or max(llm.max_reply_tokens, LEAST_DEFAULT_TOKENS)
    return ChatRequest(
        session_id=session_id,
        messages=tuple(_message(message) for message in sent.messages),
        max_tokens=min(limit, llm.context_tokens),
        temperature=llm.temperature if sent.temperature is None else sent.temperature,
        top_p=llm.top_p if sent.top_p is None else sent.top_p,
        top_k=llm.top_k,
        seed=(llm.seed if sent.seed is None else sent.seed) % _SEEDS,
        # Calls wait for nobody: their replies go first.
        priority=Priority.SPECULATIVE,
        tools=tools,
        tool_choice=choice,
        forced_tool=forced,
        schema=schema,
    )


def _message(sent: SystemMessage | UserMessage | AssistantMessage | ToolMessage) -> Message:
    text = _text(sent.content)
    match sent:
        case SystemMessage():
            return Message("system", text)
        case UserMessage():
            return Message("user", text)
        case ToolMessage():
            return Message("tool", text, call_id=sent.tool_call_id)
        case AssistantMessage():
            calls = tuple(
                ToolCall(call.id, call.function.name, call.function.arguments) for call in sent.tool_calls or ()
            )
            return Message("assistant", text, tool_calls=calls)


def _text(content: Content | None) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "".join(part.text for part in content)


def _tool(function: SentFunction) -> Tool:
    return Tool(function.name, function.description, json.dumps(function.parameters, ensure_ascii=False))


def _choice(sent: ChatCompletionRequest, tools: tuple[Tool, ...]) -> tuple[ToolChoice, str | None]:
    choice = sent.tool_choice
    if choice is None or isinstance(choice, str):
        if choice == "required" and not tools:
            raise invalid("invalid_value", "tool_choice 'required' needs tools", param="tool_choice")
        return choice or "auto", None
    name = choice.function.name
    if name not in {tool.name for tool in tools}:
        raise invalid("invalid_value", f"tool_choice names {name!r}, which is none of the tools", param="tool_choice")
    return "required", name


def _schema(sent: ChatCompletionRequest) -> str | None:
    match sent.response_format:
        case JsonSchemaFormat(json_schema=wanted):
            return json.dumps(wanted.schema_ or {"type": "object"}, ensure_ascii=False)
        case JsonFormat():
            return json.dumps({"type": "object"})
        case _:
            return None
