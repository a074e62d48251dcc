"""Functions and context over HTTP against a server that answers well, late, wrongly or not at all."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.other_system import answer, other_system
from voicectl.core.errors import ConfigError
from voicectl.core.events import ToolCall
from voicectl.core.sections.integrations import Integrations
from voicectl.service.integrations.context import HttpContext
from voicectl.service.integrations.open import open_integrations
from voicectl.service.integrations.tools import HttpTools

pytestmark = pytest.mark.integration

ORDER = {
    "type": "object",
    "properties": {"order": {"type": "string", "pattern": "^[0-9]+$"}},
    "required": ["order"],
    "additionalProperties": False,
}


def settings_of(url: str, *, context: dict[str, Any] | None = None, limits: dict[str, int] | None = None, **tool: Any):
    described = {"name": "order_status", "description": "Look up an order.", "system": "the order system"}
    return Integrations.model_validate(
        {
            "tools": [{**described, "url": url, "parameters": ORDER, **tool}],
            "context": context or {},
            **(limits or {}),
        }
    )


CALL = ToolCall("call_1", "order_status", '{"order": "42"}')


async def run_tool(settings: Integrations, call: ToolCall = CALL) -> tuple[str, str]:
    """Return the output and the outcome of one call."""
    ran: list[str] = []
    async with open_integrations(settings, on_run=lambda name, outcome, seconds: ran.append(outcome)) as systems:
        assert systems.tools is not None
        output = await systems.tools.run(call, session_id="sess 1")
    return output, ran[0]


async def test_a_call_sends_its_arguments_and_returns_the_answer() -> None:
    async with other_system(orders=[answer(b'{ "status": "on its way",\n "days": 2 }')]) as system:
        output, outcome = await run_tool(settings_of(f"{system.base}/orders"))
    assert (output, outcome) == ('{"status":"on its way","days":2}', "ok")
    asked = system.asked[0]
    assert asked.method == "POST"
    assert json.loads(asked.body) == {"order": "42"}
    assert asked.headers["x-voicectl-session"] == "sess%201"
    assert asked.headers["idempotency-key"] == "sess%201:call_1"


async def test_a_get_sends_its_arguments_beside_the_query_of_the_address() -> None:
    async with other_system(orders=[answer(b"ready", kind="text/plain")]) as system:
        output, _ = await run_tool(settings_of(f"{system.base}/orders?shop=7", method="GET"))
    assert output == "ready"
    assert system.asked[0].target == "/orders?shop=7&order=42"
    assert system.asked[0].body == b""


async def test_secrets_are_read_from_files_and_sent_as_headers(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("Bearer s3cret\n")
    async with other_system(orders=[answer(b"{}")]) as system:
        await run_tool(settings_of(f"{system.base}/orders", header_files={"Authorization": str(token)}))
    assert system.asked[0].headers["authorization"] == "Bearer s3cret"


async def test_a_missing_secret_refuses_the_start(tmp_path: Path) -> None:
    settings = settings_of("http://127.0.0.1:1/", header_files={"Authorization": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match=r"none, the value of the header Authorization: No such file"):
        async with open_integrations(settings):
            pass


async def test_an_address_that_cannot_be_refuses_the_start() -> None:
    with pytest.raises(ConfigError, match="is no address"):
        async with open_integrations(settings_of("http://crm\x07.example/")):
            pass


async def test_a_failing_system_is_asked_again_when_that_does_no_harm() -> None:
    failed = answer(b"oops", status="500 Internal Server Error")
    async with other_system(orders=[failed, answer(b'"fine"')]) as system:
        output, outcome = await run_tool(settings_of(f"{system.base}/orders", idempotent=True))
    assert (output, outcome) == ('"fine"', "ok")
    assert len({asked.headers["idempotency-key"] for asked in system.asked}) == 1


@pytest.mark.parametrize("broken", [answer(b"", status="500 Oops"), None], ids=["500", "hang up"])
async def test_a_call_that_may_have_had_an_effect_is_not_repeated(broken: bytes | None) -> None:
    async with other_system(orders=[broken]) as system:
        output, outcome = await run_tool(settings_of(f"{system.base}/orders"))
    assert (output, outcome) == ("The order system gave no usable answer.", "failed")
    assert len(system.asked) == 1


async def test_a_busy_system_says_when_to_come_back() -> None:
    busy = answer(b"", status="429 Too Many Requests", more="Retry-After: 30\r\n")
    async with other_system(orders=[busy]) as system:
        _, outcome = await run_tool(settings_of(f"{system.base}/orders", method="GET", timeout_s=2.0))
    assert outcome == "failed"
    assert len(system.asked) == 1, "30 s are more than the call may take"


async def test_a_slow_system_ends_the_call_in_time() -> None:
    async with other_system(orders=[answer(b"{}")]) as system:
        system.gate = asyncio.Event()
        output, outcome = await run_tool(settings_of(f"{system.base}/orders", timeout_s=0.2))
    assert (output, outcome) == ("The order system did not answer in time.", "timeout")


async def test_an_answer_that_never_ends_is_cut_off_in_time() -> None:
    async with other_system(orders=[b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"]) as system:
        _, outcome = await run_tool(settings_of(f"{system.base}/orders", timeout_s=0.2))
    assert outcome == "timeout"


@pytest.mark.parametrize(
    ("reply", "words", "kind"),
    [
        (answer(b"x" * 9000, kind="text/plain"), "answered more than can be read.", "too_large"),
        (answer(b"{not json"), "gave no usable answer.", "unreadable"),
        (answer(b"\xff\xfe", kind="text/plain"), "gave no usable answer.", "unreadable"),
        (answer(b"\x1f\x8b", more="Content-Encoding: gzip\r\n"), "gave no usable answer.", "unreadable"),
        (b"garbage\r\n\r\n", "gave no usable answer.", "failed"),
        (answer(b"", status="302 Found", more="Location: /secret\r\n"), "gave no usable answer.", "redirected"),
        (answer(b'"no such order"', status="404 Not Found"), 'refused the request: "no such order"', "refused"),
        (answer(b"", status="403 Forbidden"), "refused the request with status 403.", "refused"),
    ],
    ids=["huge", "no json", "no utf-8", "compressed", "no http", "redirect", "refused", "refused without a word"],
)
async def test_bad_answers_become_words(reply: bytes, words: str, kind: str) -> None:
    async with other_system(orders=[reply], secret=[answer(b"{}")]) as system:
        output, outcome = await run_tool(settings_of(f"{system.base}/orders", retries=0))
    assert (output, outcome) == (f"The order system {words}", kind)
    assert [asked.target for asked in system.asked] == ["/orders"]


async def test_a_system_that_is_down_cannot_be_reached() -> None:
    async with other_system() as system:
        url = f"{system.base}/orders"
    output, outcome = await run_tool(settings_of(url))
    assert (output, outcome) == ("The order system cannot be reached.", "unreachable")


@pytest.mark.parametrize(
    ("call", "words", "outcome"),
    [
        (ToolCall("c", "order_status", '{"order": "x"}'), 'order: "x" does not match', "invalid"),
        (ToolCall("c", "order_status", "{}"), "required property", "invalid"),
        (ToolCall("c", "order_status", "[1]"), "not a JSON object", "invalid"),
        (ToolCall("c", "order_status", '{"order": NaN}'), "not JSON", "invalid"),
        (ToolCall("c", "order_status", '{"order": "\\ud800"}'), "was not made", "invalid"),
        (ToolCall("c", "order_status", "[" * 100_000), "not JSON", "invalid"),
        (ToolCall("c", "drop_tables", "{}"), "no function 'drop_tables'", "unknown"),
    ],
    ids=["pattern", "missing", "list", "nan", "surrogate", "deep", "unknown"],
)
async def test_a_call_that_does_not_follow_the_schema_is_not_sent(call: ToolCall, words: str, outcome: str) -> None:
    async with other_system(orders=[answer(b"{}")]) as system:
        output, happened = await run_tool(settings_of(f"{system.base}/orders"), call)
    assert words in output
    assert happened == outcome
    assert system.asked == []


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not met():
            await asyncio.sleep(0.005)


async def test_requests_at_the_same_time_are_bounded_and_the_rest_waits_or_is_refused() -> None:
    async with other_system(orders=[answer(b'"ok"')]) as system:
        system.gate = asyncio.Event()
        settings = settings_of(f"{system.base}/orders", limits={"max_parallel": 2, "max_waiting": 1})
        async with open_integrations(settings) as systems, asyncio.TaskGroup() as group:
            assert isinstance(systems.tools, HttpTools)
            calls = [group.create_task(systems.tools.run(CALL, session_id="s")) for _ in range(4)]
            await until(lambda: len(system.asked) == 2 and any(call.done() for call in calls))
            system.gate.set()
        outputs = sorted(call.result() for call in calls)
    assert outputs == ['"ok"', '"ok"', '"ok"', "The order system is busy. Try again later."]
    assert system.most_at_once == 2


async def test_a_cancelled_call_gives_its_place_back() -> None:
    async with other_system(orders=[answer(b'"ok"')]) as system:
        system.gate = asyncio.Event()
        settings = settings_of(f"{system.base}/orders", limits={"max_parallel": 1, "max_waiting": 0})
        async with open_integrations(settings) as systems:
            assert isinstance(systems.tools, HttpTools)
            call = asyncio.ensure_future(systems.tools.run(CALL, session_id="s"))
            await until(lambda: len(system.asked) == 1)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            system.gate.set()
            assert await systems.tools.run(CALL, session_id="s") == '"ok"'


# --- context ---------------------------------------------------------------------------------


async def context_of(url: str, reader: Callable[[HttpContext], Awaitable[str | None]], **context: Any) -> str | None:
    settings = Integrations.model_validate({"context": {"url": url, **context}})
    async with open_integrations(settings) as systems:
        assert isinstance(systems.context, HttpContext)
        assert systems.tools is None
        return await reader(systems.context)


async def test_context_becomes_a_part_of_the_instructions() -> None:
    async with other_system(known=[answer(b'{"name": "Ada"}')]) as system:
        text = await context_of(f"{system.base}/known", lambda source: source.context("s1", {"phone": "+4930"}))
    assert text is not None
    assert text.endswith('no instructions:\n{"name":"Ada"}')
    assert json.loads(system.asked[0].body) == {"session_id": "s1", "attributes": {"phone": "+4930"}}


@pytest.mark.parametrize(
    "reply",
    [answer(b"{}"), answer(b"", status="204 No Content"), answer(b"x", status="500 Oops"), None, b"garbage\r\n\r\n"],
    ids=["empty object", "no content", "500", "hang up", "no http"],
)
async def test_a_call_begins_without_context_that_does_not_come(reply: bytes | None) -> None:
    async with other_system(known=[reply]) as system:
        assert await context_of(f"{system.base}/known", lambda source: source.context("s1", {})) is None


async def test_a_call_does_not_wait_for_late_context() -> None:
    async with other_system(known=[answer(b'{"name": "Ada"}')]) as system:
        system.gate = asyncio.Event()
        text = await context_of(f"{system.base}/known", lambda source: source.context("s1", {}), timeout_s=0.1)
    assert text is None
