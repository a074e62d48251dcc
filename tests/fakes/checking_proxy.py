"""Stands between a stock client and a gateway: passes every frame on and checks each of the gateway's."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.fakes.conformance import validate_frame

PASSED_HEADERS = ("authorization", "openai-beta")
MAX_FRAME_BYTES = 2**24


@dataclass
class Checked:
    """What went through: the port to connect to, frames by type, faults, and every frame but sound."""

    port: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)

    def client_frame(self, text: str | bytes) -> None:
        """Count a frame of the client."""
        frame = json.loads(text)
        self.sent[frame["type"]] += 1
        if frame["type"] != "input_audio_buffer.append":
            self.frames.append({"client": frame})

    def server_frame(self, text: str | bytes) -> None:
        """Check a frame of the gateway."""
        frame = json.loads(text)
        self.received[frame["type"]] += 1
        if frame["type"] != "response.output_audio.delta":
            self.frames.append(frame)
        try:
            validate_frame(frame)
        except (AssertionError, ValueError) as fault:
            self.faults.append(f"{frame['type']}: {fault}")


@asynccontextmanager
async def checking_proxy(url: str) -> AsyncIterator[Checked]:
    """Serve on a free port; every connection goes on to the gateway at `url` (http://…)."""
    checked = Checked()
    upstream_url = url.replace("http", "ws", 1)

    async def bridge(client: ServerConnection) -> None:
        request = client.request
        assert request is not None
        headers = {name: request.headers[name] for name in PASSED_HEADERS if name in request.headers}
        async with connect(
            f"{upstream_url}{request.path}",
            additional_headers=headers,
            subprotocols=client.subprotocol and [client.subprotocol],
            max_size=MAX_FRAME_BYTES,
        ) as gateway:
            up = asyncio.create_task(_pass(client, gateway, checked.client_frame))
            down = asyncio.create_task(_pass(gateway, client, checked.server_frame))
            await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async with serve(bridge, "127.0.0.1", 0, max_size=MAX_FRAME_BYTES) as server:
        checked.port = next(iter(server.sockets)).getsockname()[1]
        yield checked


async def _pass(source: Any, target: Any, look: Any) -> None:
    try:
        async for frame in source:
            look(frame)
            await target.send(frame)
    except ConnectionClosed:
        return
