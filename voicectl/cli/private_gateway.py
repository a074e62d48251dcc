"""A gateway for one command: the same program as `voicectl serve`, in a process of its own on loopback."""

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import IO, Any, Final
from urllib.request import urlopen

from voicectl.bench.caller import GatewayUnreachable
from voicectl.bench.scrape import MetricsUnreadable, Sample, samples_of
from voicectl.core.errors import EngineError, VoicectlError

START_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 15.0
SETTLE_TIMEOUT_S: Final = 60.0
SPARE_METRIC: Final = "voicectl_worker_spare"
_POLL_S: Final = 0.2
_SHOWN_LINES: Final = 5
_HINT: Final = "run `voicectl serve` to see all it says"


class GatewayFailed(VoicectlError):
    """The private gateway did not start; carries its own message and exit code."""

    def __init__(self, message: str, *, hint: str | None, exit_code: int) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class PrivateGateway:
    """A gateway that is starting or running; `private_gateway` makes one."""

    def __init__(self, process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self._process = process
        self._log = log

    async def url(self, *, timeout_s: float = START_TIMEOUT_S) -> str:
        """Wait until the gateway takes calls and return its URL. Raises GatewayFailed or EngineError."""
        told = b""
        try:
            async with asyncio.timeout(timeout_s):
                while self._process.stdout is not None and (line := await self._process.stdout.readline()):
                    told += line
                    with contextlib.suppress(ValueError):
                        document = json.loads(told)
                        if "url" in document:
                            return str(document["url"])
                status = await self._process.wait()
        except TimeoutError as error:
            raise EngineError(
                f"the gateway was not ready within {timeout_s:.0f} s; its last words:{self.last_words()}", hint=_HINT
            ) from error
        raise self._failure(told, status)

    async def settled_url(self, *, timeout_s: float = SETTLE_TIMEOUT_S) -> str:
        """Wait until spare processes are ready as well, as in a service that runs for long; return the URL.

        They load for some seconds, which is not what a measurement is about. One that does not come is not waited
        for longer than `timeout_s`. Raises GatewayFailed or EngineError.
        """
        url = await self.url()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not has_its_spares(await asyncio.to_thread(_metrics, url)):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(_POLL_S)
        return url

    async def stop(self) -> None:
        """End the gateway by its own pid: first by closing what it reads, then with a kill."""
        if self._process.returncode is not None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def _failure(self, told: bytes, status: int) -> GatewayFailed:
        try:
            error: dict[str, Any] = json.loads(told)["error"]
        except (ValueError, KeyError, TypeError):
            return GatewayFailed(
                f"the gateway ended with status {status} before it was ready:{self.last_words()}",
                hint=_HINT,
                exit_code=status if status > 0 else 1,
            )
        return GatewayFailed(error["message"], hint=error.get("hint"), exit_code=error.get("exit_code") or 1)

    def last_words(self) -> str:
        """Return the end of what the gateway logged, indented, behind a line break."""
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").split("\n")
        kept = [line for line in lines if line.strip()][-_SHOWN_LINES:]
        return "".join(f"\n       {line}" for line in kept) or " none"


def _metrics(url: str) -> list[Sample]:
    """Return what the gateway tells of itself; nothing while it does not."""
    try:
        with urlopen(f"{url}/metrics", timeout=_POLL_S * 10) as answer:  # noqa: S310 - our own gateway on loopback
            return samples_of(answer.read().decode())
    except (OSError, MetricsUnreadable):
        return []


def has_its_spares(samples: Iterable[Sample]) -> bool:
    """Tell whether a gateway told of itself, and of no worker that still waits for its spare."""
    told = list(samples)
    return bool(told) and not any(one.name == SPARE_METRIC and not one.value for one in told)


@asynccontextmanager
async def private_gateway(profile: str | None, overrides: Sequence[str]) -> AsyncIterator[PrivateGateway]:
    """Start a gateway on a free port of loopback, and stop it at the end of the block."""
    options = [*(["--profile", profile] if profile else []), *(part for text in overrides for part in ("--set", text))]
    with tempfile.TemporaryFile(prefix="voicectl-gateway-") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # -P: what lies in the current folder must not pass for a module of ours.
            *("-P", "-m", "voicectl", "serve", "--private", "--json", "--log-level", "warning"),
            *("--host", "127.0.0.1", "--port", "0"),
            *options,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            # Ctrl-C is for the command, which then ends its gateway in order.
            start_new_session=True,
        )
        gateway = PrivateGateway(process, log)
        try:
            yield gateway
        except GatewayUnreachable as error:
            # Whoever lost the call to a gateway of their own wants to know what became of it.
            raise GatewayUnreachable(f"{error.message}; its last words:{gateway.last_words()}", hint=_HINT) from error
        finally:
            await gateway.stop()
