"""A receiver of webhooks on a loopback port, which answers as it is told, and notes every attempt."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

SECRET = bytes(range(32))
SECRET_TEXT = "whsec_" + base64.b64encode(SECRET).decode()
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(frozen=True)
class Attempt:
    """One request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def told(self) -> dict[str, Any]:
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document

    def verified(self, secret: bytes = SECRET) -> bool:
        """Whether one of the signatures is right, and the timestamp is of now."""
        signed = f"{self.event_id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
        fresh = abs(time.time() - int(self.headers["webhook-timestamp"])) < 30
        return fresh and expected in self.headers["webhook-signature"].split(" ")


def status(code: int, *headers: str) -> bytes:
    """Return an answer without a body."""
    lines = [f"HTTP/1.1 {code} Said So", "content-length: 0", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Receiver:
    """Answers with the next of `answers`, then with `answer`; None is to hang."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.answers: deque[bytes | None] = deque()
        self.answer: bytes | None = OK
        self.num_connections = 0
        self.port = 0
        self.scheme = "http"
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}/hook?token=abc"

    @property
    def kinds(self) -> list[str]:
        return [attempt.told["type"] for attempt in self.attempts]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        self._writers.add(writer)
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.attempts.append(Attempt(first.split(" ")[1], headers, body, time.monotonic()))
        answer = self.answers.popleft() if self.answers else self.answer
        if answer is None:
            await reader.read()
            return False
        writer.write(answer)
        await writer.drain()
        return True

    def hang_up(self) -> None:
        """End all connections."""
        for writer in list(self._writers):
            writer.transport.abort()


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver on a free port of the loopback interface."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    receiver.scheme = "https" if tls is not None else "http"
    try:
        yield receiver
    finally:
        server.close()
        receiver.hang_up()
        await server.wait_closed()
