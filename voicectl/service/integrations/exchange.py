"""Ask another system over HTTP, bounded in time, size and attempts. Knows no function and no call."""

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import httpx
import msgspec

from voicectl.core.errors import ConfigError, VoicectlError
from voicectl.core.sections.integrations import Integrations, Method

FIRST_RETRY_S: Final = 0.1
MAX_RETRY_S: Final = 2.0
KEEPALIVE_S: Final = 5.0
IN_QUERY: Final = ("GET", "DELETE")
REFUSAL_LIMIT_BYTES: Final = 2048
"""How much of the body of a refusal is read."""

FailureKind = Literal["timeout", "unreachable", "refused", "failed", "redirected", "too_large", "unreadable"]


class ExchangeFailed(VoicectlError):
    """Another system gave no usable answer. `status` and `answer` are those of a refusal."""

    def __init__(self, kind: FailureKind, message: str, *, status: int | None = None, answer: str = "") -> None:
        super().__init__(message)
        self.kind: Final = kind
        self.status = status
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask, and how long and how often. `repeatable` questions may reach the other system twice."""

    method: Method
    url: str
    payload: Mapping[str, object]
    timeout_s: float
    limit_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict)
    retries: int = 0
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What came of one request: an answer, or a failure and whether and when to try again."""

    answer: str = ""
    failure: ExchangeFailed | None = None
    again: bool = False
    retry_after_s: float | None = None


def open_client(settings: Integrations) -> httpx.AsyncClient:
    """Return a client for the other systems. Raises ConfigError for a `ca_file` that cannot be used."""
    try:
        # Without a file the host's own authorities count, as an organisation installs them.
        tls = ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise ConfigError(
            f"integrations.ca_file {settings.ca_file}: {error}", hint="name a readable PEM file with certificates"
        ) from error
    limits = httpx.Limits(
        max_connections=settings.max_parallel,
        max_keepalive_connections=settings.max_parallel,
        keepalive_expiry=KEEPALIVE_S,
    )
    # No proxy, no .netrc: what leaves the gateway is in the profile.
    return httpx.AsyncClient(verify=tls, limits=limits, follow_redirects=False, trust_env=False, timeout=None)  # noqa: S113 - `ask` bounds the whole exchange


def checked_url(url: str) -> str:
    """Return `url`. Raises ConfigError for one that no request can be sent to."""
    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"{url!r} is no address: {error}", hint="check the section integrations") from error
    return url


def retry_delay_s(attempt: int, jitter: float) -> float:
    """Return the pause after the failed attempt (0 is the first), with `jitter` in [0, 1): half to all of it."""
    return min(MAX_RETRY_S, FIRST_RETRY_S * 2.0**attempt) * (0.5 + jitter / 2)


def retry_after_s(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header; None without one and for dates, which need equal clocks."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else None


async def ask(client: httpx.AsyncClient, question: Question, *, jitter: Callable[[], float] = random.random) -> str:
    """Return the answer as text; JSON comes back in its compact form. Raises ExchangeFailed.

    Attempts end with the time of the question. One that never reached the other system is repeated in
    any case; others only for repeatable questions. Redirects are not followed.
    """
    failure = ExchangeFailed("timeout", f"no answer within {question.timeout_s} s")
    try:
        async with asyncio.timeout(question.timeout_s) as limit:
            for attempt in range(question.retries + 1):
                outcome = await _attempt(client, question)
                if outcome.failure is None:
                    return outcome.answer
                failure = outcome.failure
                pause_s = outcome.retry_after_s or retry_delay_s(attempt, jitter())
                if not outcome.again or attempt == question.retries or _too_late(limit, pause_s):
                    break
                await asyncio.sleep(pause_s)
    except TimeoutError:
        # After a failed attempt, that is the cause and the time only its end.
        pass
    raise failure


def _too_late(limit: asyncio.Timeout, pause_s: float) -> bool:
    ends_at = limit.when()
    return ends_at is not None and asyncio.get_running_loop().time() + pause_s >= ends_at


async def _attempt(client: httpx.AsyncClient, question: Question) -> _Attempt:
    in_query = question.method in IN_QUERY
    url = httpx.URL(question.url)
    if in_query:
        url = url.copy_merge_params({name: _query_value(value) for name, value in question.payload.items()})
    request = client.build_request(
        question.method,
        url,
        content=None if in_query else msgspec.json.encode(question.payload),
        headers={
            **({} if in_query else {"Content-Type": "application/json"}),
            "Accept": "application/json, text/plain",
            "Accept-Encoding": "identity",
            **question.headers,
        },
    )
    try:
        response = await client.send(request, stream=True)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        return _Attempt(failure=ExchangeFailed("unreachable", f"no connection: {error}"), again=True)
    except httpx.TransportError as error:
        return _broken(error, question)
    try:
        return await _judge(response, question)
    except httpx.TransportError as error:
        return _broken(error, question)
    finally:
        await response.aclose()


def _broken(error: httpx.TransportError, question: Question) -> _Attempt:
    failure = ExchangeFailed("failed", f"the exchange broke off: {type(error).__name__}")
    return _Attempt(failure=failure, again=question.repeatable)


async def _judge(response: httpx.Response, question: Question) -> _Attempt:
    status = response.status_code
    if response.is_success:
        return await _accept(response, question.limit_bytes)
    if response.is_redirect or status < 400:
        return _Attempt(failure=ExchangeFailed("redirected", f"status {status}", status=status))
    if status == 429 or status >= 500:
        return _Attempt(
            failure=ExchangeFailed("failed", f"status {status}", status=status),
            again=question.repeatable,
            retry_after_s=retry_after_s(response.headers.get("Retry-After")),
        )
    # What a system says about a request that it refuses helps the caller: "no such order".
    said = await _accept(response, min(question.limit_bytes, REFUSAL_LIMIT_BYTES))
    return _Attempt(failure=ExchangeFailed("refused", f"status {status}", status=status, answer=said.answer))


async def _accept(response: httpx.Response, limit_bytes: int) -> _Attempt:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return _unreadable("the answer is compressed although that was not accepted")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > limit_bytes:
            return _Attempt(failure=ExchangeFailed("too_large", f"the answer exceeds {limit_bytes} bytes"))
    try:
        text = body.decode()
        if _is_json(response.headers.get("Content-Type", "")) and text.strip():
            text = msgspec.json.encode(msgspec.json.decode(text)).decode()
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError) as error:
        return _unreadable(f"the answer cannot be read: {error}")
    return _Attempt(answer=_printable(text).strip())


def _unreadable(message: str) -> _Attempt:
    return _Attempt(failure=ExchangeFailed("unreadable", message))


def _is_json(content_type: str) -> bool:
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")


def _query_value(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
