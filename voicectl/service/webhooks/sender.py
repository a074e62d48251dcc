"""Send one signed message to one receiver, to an address that was checked. Knows no outbox and no retries."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

import voicectl
from voicectl.core.errors import ConfigError, VoicectlError
from voicectl.core.sections.webhooks import WebhookEndpoint, Webhooks
from voicectl.service.webhooks.policy import refusal
from voicectl.service.webhooks.signing import SecretFile, signed_headers

MAX_ANSWER_BYTES: Final = 16_384
"""What is read of an answer before the connection is dropped; it is never looked at."""
MAX_ADDRESSES: Final = 4
"""Addresses of one name that are tried one after the other."""
KEEP_ALIVE_S: Final = 20.0
GONE: Final = 410

Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class EndpointGone:
    """The receiver wants no more events, for good."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The receiver may not have it. `reason` holds nothing that was said."""

    reason: str


Outcome = Delivered | EndpointGone | Failed


class TargetRefused(VoicectlError):
    """The name of a receiver leads to where events must not go."""


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name, by the host's own resolver. Blocks. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Sender:
    """The way to one receiver. `send` never raises, except for cancellation."""

    def __init__(
        self,
        endpoint: WebhookEndpoint,
        settings: Webhooks,
        *,
        resolver: Resolve = resolve,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Raise ConfigError when the secrets or the authorities cannot be read."""
        self._endpoint = endpoint
        self._settings = settings
        self._resolver = resolver
        self._now = now
        self._url = _parsed(endpoint)
        self._secrets = SecretFile(Path(endpoint.secret_file))
        self._secrets.load()
        # Of its own: a name service that hangs must hold up no other receiver, and nothing else of the gateway.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"webhook-{endpoint.name}")
        # A transport of its own as well: connections are pooled by address, and one address may serve
        # receivers of different names. Without a client around it there are no redirects, no cookies, no proxies.
        self._transport = httpx.AsyncHTTPTransport(
            verify=_tls(endpoint),
            trust_env=False,
            limits=httpx.Limits(max_connections=settings.parallel, keepalive_expiry=KEEP_ALIVE_S),
        )

    async def send(self, event_id: str, body: bytes) -> Outcome:
        """Make one attempt of `total_s` at most."""
        try:
            async with asyncio.timeout(self._settings.total_s):
                secrets, addresses = await self._prepare()
                headers = signed_headers(secrets, event_id, int(self._now()), body)
                return outcome_of(await self._post(addresses, headers, body))
        except TimeoutError:
            return Failed("timed out")
        except VoicectlError as error:
            return Failed(error.message)
        except httpx.TimeoutException as error:
            return Failed(f"timed out: {type(error).__name__}")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return Failed(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)

    async def close(self) -> None:
        """Close all connections."""
        try:
            async with asyncio.timeout(self._settings.connect_s):
                await self._transport.aclose()
        except (TimeoutError, httpx.HTTPError, OSError):
            return
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    async def _prepare(self) -> tuple[Sequence[bytes], Sequence[str]]:
        """Return the secrets and the checked addresses. What is connected to later is one of them."""
        host = _ascii_host(self._url)
        port = self._url.port or (443 if self._url.scheme == "https" else 80)

        def work() -> tuple[Sequence[bytes], Sequence[str]]:
            return self._secrets.current(), self._resolver(host, port)

        try:
            async with asyncio.timeout(self._settings.connect_s):
                secrets, addresses = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError as error:
            raise TargetRefused("the name was not resolved in time") from error
        reason = refusal(addresses, allow_private=self._endpoint.allow_private)
        if reason is not None:
            raise TargetRefused(f"refused to connect: {reason}")
        return secrets, addresses[:MAX_ADDRESSES]

    async def _post(self, addresses: Sequence[str], headers: Mapping[str, str], body: bytes) -> int:
        """Return the status of the answer of the first address that takes a connection."""
        *others, last = addresses
        for address in others:
            try:
                return await self._post_to(address, headers, body)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._post_to(last, headers, body)

    async def _post_to(self, address: str, headers: Mapping[str, str], body: bytes) -> int:
        settings = self._settings
        request = httpx.Request(
            "POST",
            # The address takes the place of the name, so that no second look-up can lead elsewhere. The
            # receiver still sees its name, and its certificate must still be for it.
            self._url.copy_with(host=address),
            headers={
                "host": self._url.netloc.decode("ascii"),
                "content-type": "application/json",
                "user-agent": f"voicectl/{voicectl.__version__}",
                **headers,
            },
            content=body,
            extensions={
                "sni_hostname": _ascii_host(self._url),
                "timeout": {
                    "connect": settings.connect_s,
                    "read": settings.read_s,
                    "write": settings.read_s,
                    "pool": settings.total_s,
                },
            },
        )
        response = await self._transport.handle_async_request(request)
        try:
            await _discard(response)
        finally:
            await response.aclose()
        return response.status_code


async def _discard(response: httpx.Response) -> None:
    """Read the little that lets the connection be used again. The bytes are not even decompressed."""
    num_bytes = 0
    async for chunk in response.aiter_raw():
        num_bytes += len(chunk)
        if num_bytes > MAX_ANSWER_BYTES:
            return


def _parsed(endpoint: WebhookEndpoint) -> httpx.URL:
    try:
        return httpx.URL(endpoint.url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"webhooks.endpoints: {endpoint.name}: the URL cannot be read: {error}") from error


def _ascii_host(url: httpx.URL) -> str:
    return url.raw_host.decode("ascii").rstrip(".")


def _tls(endpoint: WebhookEndpoint) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=endpoint.ca_file)
    except OSError as error:
        raise ConfigError(
            f"webhooks.endpoints: {endpoint.name}: {endpoint.ca_file}: no certificates: {error}",
            hint="ca_file is a PEM file of one or more authorities",
        ) from error


def outcome_of(status: int) -> Outcome:
    """Return what an answer means."""
    if 200 <= status < 300:
        return Delivered()
    if status == GONE:
        return EndpointGone()
    if 300 <= status < 400:
        return Failed(f"HTTP {status}: redirects are not followed")
    return Failed(f"HTTP {status}")
