"""Functions of the language model that are requests to other systems."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote

import httpx
import jsonschema_rs
import msgspec
import structlog

from voicectl.core.events import Tool, ToolCall
from voicectl.core.sections.integrations import HttpTool, Integrations
from voicectl.service.header_files import read_headers
from voicectl.service.integrations.exchange import ExchangeFailed, FailureKind, Question, ask, checked_url

log = structlog.get_logger(__name__)

SESSION_HEADER: Final = "X-Voicectl-Session"
IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
UNKNOWN_TOOL: Final = "unknown"
MAX_FAULTS: Final = 3
"""Faults of a call's arguments that the language model is told."""

Outcome = Literal["ok", "unknown", "invalid", "busy"] | FailureKind
OnRun = Callable[[str, str, float], None]
"""Told after each call: the function (or "unknown"), the outcome, and the seconds it took."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A function, ready to be called."""

    settings: HttpTool
    url: str
    headers: Mapping[str, str]
    validator: jsonschema_rs.Validator

    @property
    def system(self) -> str:
        return self.settings.system or f"the system behind {self.settings.name}"


class HttpTools:
    """A ToolRunner over HTTP.

    The arguments are checked against the schema before anything is sent. A request carries the session
    in `X-Voicectl-Session` and the call in `Idempotency-Key`, so that the other system can recognise a
    repetition. What goes wrong is told in words that the language model can pass on.
    """

    def __init__(self, settings: Integrations, client: httpx.AsyncClient, *, on_run: OnRun | None = None) -> None:
        """Read the headers' files. Raises ConfigError when one cannot be read, or for an address that cannot be."""
        self._client = client
        self._on_run = on_run
        self._known = {
            tool.name: _Known(
                tool,
                checked_url(tool.url),
                read_headers(tool.headers, tool.header_files),
                jsonschema_rs.validator_for(tool.parameters, offline=True),
            )
            for tool in settings.tools
        }
        self._tools = tuple(_described(tool) for tool in settings.tools)
        self._places = asyncio.Semaphore(settings.max_parallel)
        self._max_waiting = settings.max_waiting
        self._num_waiting = 0

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What the language model is told about them."""
        return self._tools

    async def run(self, call: ToolCall, *, session_id: str) -> str:
        """Carry out a call and return its output for the language model; failures are told in words."""
        began_at = time.monotonic()
        output, outcome = await self._run(call, session_id)
        seconds = time.monotonic() - began_at
        name = call.name if call.name in self._known else UNKNOWN_TOOL
        # Never the arguments or the answer: both are the caller's.
        log.info("tool_ran", tool=name, outcome=outcome, seconds=round(seconds, 3), session_id=session_id)
        if self._on_run is not None:
            self._on_run(name, outcome, seconds)
        return output

    async def _run(self, call: ToolCall, session_id: str) -> tuple[str, Outcome]:
        known = self._known.get(call.name)
        if known is None:
            return f"There is no function {call.name[:64]!r}.", "unknown"
        arguments = read_arguments(call.arguments)
        faults = [arguments] if isinstance(arguments, str) else faults_of(known.validator, arguments)
        if isinstance(arguments, str) or faults:
            return f"The call of {call.name} was not made: {'; '.join(faults)}.", "invalid"
        if self._places.locked() and self._num_waiting >= self._max_waiting:
            return in_words(known.system, "is busy. Try again later."), "busy"
        try:
            async with asyncio.timeout(known.settings.timeout_s) as limit:
                await self._enter()
                try:
                    left_s = max(0.001, (limit.when() or 0.0) - asyncio.get_running_loop().time())
                    return await self._ask(known, arguments, call, session_id, left_s), "ok"
                finally:
                    self._places.release()
        except TimeoutError:
            return in_words(known.system, "did not answer in time."), "timeout"
        except ExchangeFailed as failure:
            log.warning("tool_failed", tool=call.name, kind=failure.kind, reason=failure.message)
            return failure_in_words(known.system, failure), failure.kind

    async def _enter(self) -> None:
        self._num_waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._num_waiting -= 1

    async def _ask(
        self, known: _Known, arguments: Mapping[str, object], call: ToolCall, session_id: str, left_s: float
    ) -> str:
        settings = known.settings
        question = Question(
            method=settings.method,
            url=known.url,
            payload=arguments,
            timeout_s=left_s,
            limit_bytes=settings.response_limit_bytes,
            headers={
                **known.headers,
                SESSION_HEADER: _ascii(session_id),
                IDEMPOTENCY_HEADER: f"{_ascii(session_id)}:{_ascii(call.call_id)}",
            },
            retries=settings.retries,
            repeatable=settings.repeatable,
        )
        return await ask(self._client, question) or "Done."


def read_arguments(text: str) -> Mapping[str, object] | str:
    """Return the arguments of a call, or what is wrong with them."""
    try:
        arguments = msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return "the arguments are not JSON"
    return arguments if isinstance(arguments, dict) else "the arguments are not a JSON object"


def faults_of(validator: jsonschema_rs.Validator, arguments: Mapping[str, object]) -> list[str]:
    """Return what is wrong with the arguments, the first few faults."""
    faults: list[str] = []
    for error in validator.iter_errors(arguments):
        where = ".".join(str(part) for part in error.instance_path)
        faults.append(f"{where}: {error.message}" if where else error.message)
        if len(faults) == MAX_FAULTS:
            break
    return faults


def in_words(system: str, what: str) -> str:
    """Return a sentence about another system."""
    return f"{system[:1].upper()}{system[1:]} {what}"


def failure_in_words(system: str, failure: ExchangeFailed) -> str:
    """Return what the language model is told about a failure."""
    match failure.kind:
        case "timeout":
            return in_words(system, "did not answer in time.")
        case "unreachable":
            return in_words(system, "cannot be reached.")
        case "refused" if failure.answer:
            return in_words(system, f"refused the request: {failure.answer}")
        case "refused":
            return in_words(system, f"refused the request with status {failure.status}.")
        case "too_large":
            return in_words(system, "answered more than can be read.")
        case _:
            return in_words(system, "gave no usable answer.")


def _described(tool: HttpTool) -> Tool:
    return Tool(tool.name, tool.description, msgspec.json.encode(tool.parameters).decode())


def _ascii(identifier: str) -> str:
    """Return an identifier from outside as a header may hold it."""
    return quote(identifier, safe="", errors="replace")
