"""What the OpenAPI document promises is what the gateway does, for requests that nobody thought of."""

import asyncio
import threading
from collections.abc import Iterator

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tests.fakes.conversation import ScriptedGateway, running, scripted_profile
from voicectl.service.http.application import create_app

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]


bounded = hypothesis.settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Serve scripted models on a thread of their own: schemathesis waits for answers synchronously."""
    started = threading.Event()
    address: list[str] = []
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        async with running() as gateway:
            address.append(gateway.url)
            stop.append((asyncio.get_running_loop(), gateway.stop))
            started.set()
            await gateway.stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="schema-gateway")
    thread.start()
    assert started.wait(20)
    yield address[0]
    loop, event = stop[0]
    loop.call_soon_threadsafe(event.set)
    thread.join(20)


SCHEMA = schemathesis.openapi.from_dict(create_app(ScriptedGateway(), scripted_profile()).openapi())
OPERATIONS = {operation.ok().label: operation.ok() for operation in SCHEMA.get_all_operations()}


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_is_one_that_the_document_names(label: str, url: str) -> None:
    operation = OPERATIONS[label]

    @hypothesis.given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    @bounded
    def meant(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=url, checks=CHECKS)

    @hypothesis.given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    @bounded
    def not_meant(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=url, checks=CHECKS)

    meant()
    # Of a path parameter every text is one: what is not meant needs a body.
    if operation.body:
        not_meant()
