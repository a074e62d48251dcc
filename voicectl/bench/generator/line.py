"""One WebSocket to a server under load: frames out at once, messages in with the instant of their bytes.

`websockets` parses and answers as its own client does, but on the event loop's protocol callbacks: a message
costs no task switch and no queue, and is stamped when its bytes are read, not when somebody comes to fetch it.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from voicectl.bench.generator.failures import CallFailed, lost, refused

MAX_MESSAGE_BYTES: Final = 16_000_000
MAX_UNSENT_BYTES: Final = 16_000_000
"""A server that leaves so much unread, four minutes of sound, has stopped listening."""
CLOSE_TIMEOUT_S: Final = 1.0


class Line(asyncio.Protocol):
    """A connection. `on_message` gets each text and when its last byte arrived, `on_lost` the end, once."""

    def __init__(
        self,
        protocol: ClientProtocol,
        headers: Mapping[str, str],
        on_message: Callable[[bytes, float], None],
        on_lost: Callable[[CallFailed], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.rtt_s: list[float] = []
        self._gone: asyncio.Future[None] = loop.create_future()
        self._protocol = protocol
        self._headers = headers
        self._on_message = on_message
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._fragments: list[bytes] = []
        self._pinged_at: float | None = None
        self._stood = False

    # --- what asyncio calls ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        request = self._protocol.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Take in bytes: the answer to the handshake first, frames from then on."""
        at = time.monotonic()
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        self._flush()
        for event in events:
            if isinstance(event, Frame):
                self._frame(event, at)
            elif isinstance(event, Response):
                self._answered(event)
        if self._protocol.handshake_exc is not None:
            self._not_opened(self._protocol.handshake_exc)
        elif self._protocol.state is not State.OPEN:
            self._report_end()

    def eof_received(self) -> None:
        """The server has ended its side."""
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, however that came."""
        self._protocol.receive_eof()
        self._not_opened(exc or self._protocol.handshake_exc or EOFError("the server ended the connection"))
        self._report_end(exc)
        if not self._gone.done():
            self._gone.set_result(None)

    # --- what a call uses --------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send one message."""
        self.write(Frame(Opcode.TEXT, text.encode()).serialize(mask=True))

    def write(self, frame: bytes) -> None:
        """Send one frame that is encoded and masked already; does nothing once the line is down."""
        if self._transport is None or self._protocol.state is not State.OPEN:
            return
        self._transport.write(frame)
        if self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._on_lost(lost("not-reading", f"the server left {MAX_UNSENT_BYTES // 10**6} MB unread"))
            self._transport.abort()

    def ping(self) -> None:
        """Begin to measure a round trip; while one is under way, nothing."""
        if self._pinged_at is None and self._protocol.state is State.OPEN:
            self._pinged_at = time.monotonic()
            self._protocol.send_ping(b"voicectl")
            self._flush()

    async def close(self) -> None:
        """Hang up in order; after a second, without."""
        if self._transport is None:
            return
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(1000)
            self._flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await asyncio.shield(self._gone)
        self._transport.abort()

    # --- inside ------------------------------------------------------------------------------

    def _flush(self) -> None:
        if self._transport is None:
            return
        for piece in self._protocol.data_to_send():
            if piece:
                self._transport.write(piece)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()

    def _answered(self, response: Response) -> None:
        if self._protocol.handshake_exc is None and response.status_code == 101 and not self.opened.done():
            self._stood = True
            self.opened.set_result(None)

    def _not_opened(self, error: BaseException) -> None:
        if self._stood:
            return
        if not self.opened.done():
            self.opened.set_exception(_refusal(error))
        if self._transport is not None:
            self._transport.abort()

    def _frame(self, frame: Frame, at: float) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.CONT):
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                message = self._fragments[0] if len(self._fragments) == 1 else b"".join(self._fragments)
                self._fragments.clear()
                self._on_message(message, at)
        elif frame.opcode is Opcode.PONG and self._pinged_at is not None:
            self.rtt_s.append(at - self._pinged_at)
            self._pinged_at = None
        elif frame.opcode is Opcode.BINARY:
            self._on_lost(lost("malformed-event", f"{len(frame.data)} bytes of binary, events are text"))

    def _report_end(self, exc: Exception | None = None) -> None:
        if not self._stood:
            return
        rcvd, parser_exc = self._protocol.close_rcvd, self._protocol.parser_exc
        if rcvd is not None:
            words = f"close code {rcvd.code}" + (f", {rcvd.reason[:200]!r}" if rcvd.reason else "")
            self._on_lost(lost("closed", f"the server ended the call ({words})"))
        elif parser_exc is not None and not isinstance(parser_exc, EOFError):
            self._on_lost(lost("malformed-event", f"the server broke the WebSocket protocol: {parser_exc}"))
        else:
            self._on_lost(lost("reset", f"the connection ended without a close frame{f': {exc}' if exc else ''}"))


async def open_line(
    address: str,
    headers: Mapping[str, str],
    on_message: Callable[[bytes, float], None],
    on_lost: Callable[[CallFailed], None],
    *,
    timeout_s: float,
    tls: ssl.SSLContext | None = None,
) -> Line:
    """Connect to a ws:// or wss:// address. Raises CallFailed, whatever the server does, within `timeout_s`."""
    try:
        uri = parse_uri(address)
    except InvalidURI as error:
        raise refused("no-connection", str(error)) from error
    line: Line | None = None
    try:
        async with asyncio.timeout(timeout_s):
            _, line = await asyncio.get_running_loop().create_connection(
                lambda: Line(ClientProtocol(uri, max_size=MAX_MESSAGE_BYTES), headers, on_message, on_lost),
                uri.host,
                uri.port,
                ssl=(tls or ssl.create_default_context()) if uri.secure else None,
            )
            await line.opened
    except TimeoutError as error:
        _drop(line)
        if line is None:
            raise refused("no-connection", f"no connection within {timeout_s:g} s") from error
        raise refused("no-handshake", f"no answer to the WebSocket handshake within {timeout_s:g} s") from error
    except ssl.SSLError as error:
        raise refused("tls", str(error)) from error
    except OSError as error:
        raise refused("no-connection", str(error)) from error
    except asyncio.CancelledError:
        _drop(line)
        raise
    return line


def _drop(line: Line | None) -> None:
    if line is not None and line._transport is not None:
        line.opened.cancel()
        line._transport.abort()


def _refusal(error: BaseException) -> CallFailed:
    if isinstance(error, InvalidStatus):
        body = (error.response.body or b"").decode("utf-8", "replace").strip()
        words = f"HTTP {error.response.status_code}" + (f", {' '.join(body.split())[:200]}" if body else "")
        return refused("http-refusal", words)
    if isinstance(error, ConnectionResetError):
        return refused("reset", "the server reset the connection during the handshake")
    if isinstance(error, InvalidHandshake | EOFError):
        return refused("no-handshake", f"no WebSocket: {error}")
    return refused("no-handshake", f"no WebSocket: {error or type(error).__name__}")
