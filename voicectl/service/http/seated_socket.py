"""A Starlette WebSocket as a connection needs it, that also ends when its seat says so."""

import asyncio

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from voicectl.media.transports.realtime.server_events import error
from voicectl.service.http.seats import Seat, Seats

log = structlog.get_logger(__name__)


class SeatedSocket:
    """One client's socket. When the session's time is up it reads as if the client had gone."""

    def __init__(self, websocket: WebSocket, seats: Seats, seat: Seat) -> None:
        self._websocket = websocket
        self._seats = seats
        self._seat = seat
        self._silent = True

    async def receive(self) -> str | bytes | None:
        """Return the next message, None once the peer is gone or the session's time is up."""
        if self._seat.is_over():
            return None
        try:
            async with self._seat.waiting():
                message = await self._websocket.receive()
        except TimeoutError:
            return None
        finally:
            self._seat.waited()
        if message["type"] == "websocket.disconnect":
            return None
        if self._silent:
            self._silent = False
            self._seats.begun(self._seat)
        text: str | None = message.get("text")
        if text is not None:
            return text
        payload: bytes = message["bytes"]
        return payload

    def why_gone(self) -> str:
        """Return why nothing more is received, once it is so."""
        return self._seat.ending.reason if self._seat.is_over() else "the client closed the connection"

    async def send(self, text: str) -> bool:
        """Send a text message; False when the peer is gone."""
        try:
            await self._websocket.send_text(text)
        except (WebSocketDisconnect, RuntimeError):
            # Starlette raises RuntimeError for a send after the peer's close was received.
            return False
        return True

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye. Does nothing when the peer is gone."""
        if self._websocket.client_state is WebSocketState.DISCONNECTED:
            return
        try:
            await self._websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError):
            log.debug("close_after_disconnect", code=code)

    async def dismiss(self, within_s: float) -> None:
        """Tell a client whose time is up why, as far as it still reads."""
        ending = self._seat.ending
        try:
            async with asyncio.timeout(within_s):
                if ending.error is not None:
                    await self.send(msgspec.json.encode(error(ending.error, ending.reason)).decode())
                await self.close(ending.code, ending.reason)
        except TimeoutError:
            log.warning("close_not_sent", code=ending.code, reason=ending.reason)
