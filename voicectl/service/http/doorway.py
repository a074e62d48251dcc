"""How many connections may be open, and which give way: those that ask for nothing. Knows no request."""

import asyncio
import resource
from typing import Any, Final

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

log = structlog.get_logger(__name__)

SPARE_FILES: Final = 512
"""Open files for everything but connections: workers' sockets, files of state, and connections not yet counted."""


class Doorway:
    """The HTTP connections of one server, oldest first. A full house shows the oldest idle one out."""

    def __init__(self, max_connections: int, handshake_s: float) -> None:
        self.max_connections: Final = max_connections
        self.handshake_s: Final = handshake_s
        self._inside: dict[HttpProtocol, None] = {}
        self.num_shown_out = 0

    def enter(self, connection: "HttpProtocol", num_open: int) -> bool:
        """Count a connection in; return False when there is no room and nobody to show out.

        `num_open` counts all connections, also those that became WebSockets.
        """
        if num_open > self.max_connections and not self._show_one_out():
            return False
        self._inside[connection] = None
        return True

    def leave(self, connection: "HttpProtocol") -> None:
        """Count a connection out: it is closed, or became a WebSocket."""
        self._inside.pop(connection, None)

    def _show_one_out(self) -> bool:
        oldest = next((connection for connection in self._inside if connection.is_idle()), None)
        if oldest is None:
            return False
        self.leave(oldest)
        self.num_shown_out += 1
        oldest.drop()
        return True


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, with the doorway that its connections pass."""

    def __init__(self, app: Any, doorway: Doorway, **settings: Any) -> None:
        super().__init__(app, **settings)
        self.doorway: Final = doorway


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP, which also lets go of a peer that connects and asks for nothing."""

    def __init__(self, config: ServerConfig, server_state: Any, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._doorway = config.doorway
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Let a peer in, if there is room."""
        super().connection_made(transport)
        if self._doorway.enter(self, len(self.connections)):
            self._patience = self.loop.call_later(self._doorway.handshake_s, self._too_slow)
        else:
            log.warning("connection_refused", open=len(self.connections))
            self.drop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a peer."""
        self._doorway.leave(self)
        self._forgive()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Hand a peer over to the WebSocket protocol."""
        self._doorway.leave(self)
        self._forgive()
        super().handle_websocket_upgrade(event)

    def data_received(self, data: bytes) -> None:
        """Take what a peer sends; the first whole request ends the wait for it."""
        super().data_received(data)
        if self.cycle is not None:
            self._forgive()

    def is_idle(self) -> bool:
        """Return whether no request is in progress."""
        return self.cycle is None or self.cycle.response_complete

    def drop(self) -> None:
        """End the connection without a word."""
        self.transport.abort()

    def _too_slow(self) -> None:
        if self.is_idle():
            self.drop()

    def _forgive(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


def allow_open_files(max_connections: int) -> None:
    """Raise this process's own limit of open files as far as the connections need it and the host allows."""
    wanted = max_connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    if reachable < wanted:
        log.warning("few_open_files", limit=reachable, wanted=wanted, hint="raise LimitNOFILE of the service")
