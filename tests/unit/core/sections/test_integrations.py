"""What a profile may say about other systems and collectors."""

from typing import Any

import pytest
from pydantic import ValidationError

from voicectl.core.sections.integrations import HttpTool, Integrations
from voicectl.core.sections.telemetry import Telemetry

TOOL = {"name": "order_status", "description": "Orders.", "url": "https://crm.example/orders"}


def tool(**changes: Any) -> HttpTool:
    return HttpTool.model_validate({**TOOL, **changes})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"url": "file:///etc/passwd"}, "must be an http:// or https:// URL"),
        ({"url": "https://"}, "must be an http:// or https:// URL"),
        ({"url": "https://crm.example:99999/"}, "Port out of range"),
        ({"url": "https://me:secret@crm.example/"}, "must hold no password"),
        ({"url": "https://crm.example/#x"}, "must hold no fragment"),
        ({"name": "drop tables"}, "should match pattern"),
        ({"parameters": {"type": "string"}}, "type: object"),
        ({"parameters": {"type": "object", "properties": {"a": {"type": "nonsense"}}}}, "is no JSON schema"),
        ({"parameters": {"type": "object", "$ref": "https://elsewhere.example/schema"}}, "is no JSON schema"),
        ({"headers": {"X-A": "a\r\nX-B: b"}}, "printable ASCII"),
        ({"headers": {"X A": "a"}}, "is no name of a header"),
        ({"timeout_s": 0}, "greater than 0"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)
def test_a_tool_that_cannot_be_meant_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        tool(**changes)


def test_names_of_tools_differ() -> None:
    with pytest.raises(ValidationError, match="order_status is given twice"):
        Integrations.model_validate({"tools": [TOOL, TOOL]})


@pytest.mark.parametrize(
    ("changes", "repeatable"),
    [
        ({}, False),
        ({"method": "GET"}, True),
        ({"idempotent": True}, True),
        ({"method": "PUT", "idempotent": False}, False),
    ],
)
def test_only_what_does_no_harm_twice_is_repeated(changes: dict[str, Any], repeatable: bool) -> None:
    assert tool(**changes).repeatable is repeatable


def test_the_collector_is_asked_over_http() -> None:
    with pytest.raises(ValidationError, match="must be an http:// or https:// URL"):
        Telemetry(otlp_endpoint="grpc://collector:4317")
