"""What a chat request means for the language model."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from voicectl.core.ports import ChatRequest, Message, Priority
from voicectl.core.sections.engine import LlmSettings
from voicectl.service.http.problem import Problem
from voicectl.service.rest.chat_request import ChatCompletionRequest, chat_request

TOOL = {"type": "function", "function": {"name": "weather"}}


def asked(**fields: Any) -> ChatRequest:
    sent = {"model": "m", "messages": [{"role": "user", "content": "Hello?"}], **fields}
    return chat_request(ChatCompletionRequest.model_validate(sent), "rest_1", LlmSettings(max_reply_tokens=64))


def test_what_is_left_open_is_the_profiles() -> None:
    llm = LlmSettings()
    request = asked()
    assert request.messages == (Message("user", "Hello?"),)
    assert (request.temperature, request.top_p, request.top_k) == (llm.temperature, llm.top_p, llm.top_k)
    assert request.priority is Priority.SPECULATIVE
    assert (request.tools, request.tool_choice, request.schema) == ((), "auto", None)


def test_a_reply_is_longer_than_on_the_phone_and_never_longer_than_the_context() -> None:
    assert asked().max_tokens == 256
    assert asked(max_tokens=5).max_tokens == 5
    assert asked(max_tokens=5, max_completion_tokens=7).max_tokens == 7
    assert asked(max_tokens=999_999).max_tokens == LlmSettings().context_tokens


def test_tools_without_parameters_take_none() -> None:
    (tool,) = asked(tools=[TOOL]).tools
    assert json.loads(tool.parameters) == {"type": "object", "properties": {}}


def test_a_forced_tool_must_be_one_of_the_tools() -> None:
    choice = {"type": "function", "function": {"name": "weather"}}
    request = asked(tools=[TOOL], tool_choice=choice)
    assert (request.tool_choice, request.forced_tool) == ("required", "weather")
    with pytest.raises(Problem, match="none of the tools"):
        asked(tool_choice=choice)
    with pytest.raises(Problem, match="needs tools"):
        asked(tool_choice="required")
    with pytest.raises(Problem, match="not both"):
        asked(tools=[TOOL], tool_choice="required", response_format={"type": "json_object"})


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"n": True},
        {"seed": True},
        {"max_tokens": "5"},
        {"stream": 1},
        {"temperature": -0.1},
        {"temperature": float("nan")},
        {"top_p": 0},
        {"max_tokens": 0},
        {"stop": ""},
        {"stop": ["a", ""]},
        {"stop": ["a"] * 5},
        {"frequency_penalty": 0.5},
        {"logprobs": True},
        {"logit_bias": {"1": 5}},
        {"modalities": ["audio"]},
        {"audio": {"voice": "alloy"}},
        {"messages": []},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"tools": [{"type": "custom", "custom": {}}]},
        {"tools": [{"type": "function", "function": {"name": "a b"}}]},
        {"response_format": {"type": "xml"}},
    ],
)
def test_what_cannot_be_honoured_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        asked(**fields)


def test_what_stock_clients_send_and_changes_nothing_is_accepted() -> None:
    request = asked(
        user="u", store=False, metadata={"a": "b"}, parallel_tool_calls=True, frequency_penalty=0, logprobs=False
    )
    assert request.messages == (Message("user", "Hello?"),)
