"""Runs the gateway's HTTP server from its first port to its last caller. Knows no model and no media."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Generator
from typing import Final

import structlog
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from voicectl.service.access.tls import TlsFiles
from voicectl.service.http.application import GatewayApp
from voicectl.service.http.doorway import Doorway, HttpProtocol, ServerConfig, allow_open_files
from voicectl.service.http.listener import listen
from voicectl.service.load.admission import Admission

log = structlog.get_logger(__name__)

PING_S: Final = 20.0
CLOSE_S: Final = 5.0
"""Time for calls to wind up after they were told to, and for connections to close after that."""
LINGER_S: Final = 2.0
"""Time for a peer to read what it is still owed, after which its socket is dropped."""
BACKLOG: Final = 256
"""Connections that wait to be accepted; each round of the loop accepts as many at once."""
OVERSIZE_FACTOR: Final = 2
"""Messages up to this many times the limit are still read, so that they get an `error` and not a close."""
_REFUSED_UPGRADE: Final = "ASGI callable returned without completing handshake."
"""uvicorn's complaint about each upgrade that was refused with a status, which is logged with its reason already."""


class _WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which also lets go of a peer that no longer reads."""

    async def run_asgi(self) -> None:
        await super().run_asgi()
        # transport.close() waits for the peer to read its buffer, which a stalled one never does.
        if self.transport.get_write_buffer_size():
            self.loop.call_later(LINGER_S, self.transport.abort)


class _UvicornLog(logging.Handler):
    """Passes uvicorn's own warnings to our log; a client's fault comes without a traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.msg == _REFUSED_UPGRADE:
            return
        failure = record.exc_info[1] if record.exc_info else None
        if failure is None or isinstance(failure, UnicodeDecodeError):
            log.warning("http_server_warned", message=record.getMessage(), cause=str(failure) if failure else None)
        else:
            log.error("http_server_failed", message=record.getMessage(), exc_info=failure)


class _Server(uvicorn.Server):
    """uvicorn without its signal handling: it drains the calls before it closes connections."""

    def __init__(
        self,
        config: ServerConfig,
        admission: Admission,
        *,
        on_started: Callable[[], None],
        on_draining: Callable[[], None],
        drain_s: float,
    ) -> None:
        super().__init__(config)
        self._config = config
        self._admission = admission
        self._on_started = on_started
        self._on_draining = on_draining
        self._drain_s = drain_s

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to `serve`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept, then say so. uvicorn's own start knows no limit for a TLS handshake."""
        config = self._config
        await self.lifespan.startup()

        def connection() -> asyncio.Protocol:
            return HttpProtocol(config, self.server_state, self.lifespan.state)

        self.servers = [
            await asyncio.get_running_loop().create_server(
                connection,
                sock=listener,
                ssl=config.ssl,
                ssl_handshake_timeout=config.doorway.handshake_s if config.ssl else None,
                backlog=config.backlog,
            )
            for listener in sockets or ()
        ]
        self.started = True
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, let calls end by themselves for a while, end the others, and close."""
        self._admission.draining = True
        self._on_draining()
        for server in self.servers:
            server.close()
        if len(self._admission):
            log.info("drain_started", sessions=len(self._admission), drain_s=self._drain_s)
            if not await self._emptied(self._drain_s):
                log.warning("drain_expired", sessions=len(self._admission))
        self._admission.closing.set()
        if not await self._emptied(CLOSE_S):
            log.error("sessions_left", sessions=len(self._admission))
        await super().shutdown(sockets)

    async def abort(self) -> None:
        """End everything at once; uvicorn leaves its connections behind when it is cancelled."""
        for server in getattr(self, "servers", ()):
            server.close()
        tasks = list(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    async def _emptied(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self._admission.wait_empty()
        except TimeoutError:
            return False
        return True


async def serve(
    app: GatewayApp,
    listener: socket.socket,
    *,
    on_started: Callable[[], None],
    drain_s: float,
    on_draining: Callable[[], None] = lambda: None,
    stop: asyncio.Event | None = None,
    tls: TlsFiles | None = None,
) -> None:
    """Serve `app` on a bound socket until it is told to stop, then drain its calls for up to `drain_s` seconds.

    Without `stop`, SIGTERM and SIGINT stop it and a second SIGINT ends all calls at once; with it,
    signals are the caller's business. `on_started` is called once it listens, `on_draining` when it begins
    to stop; both on the event loop, so they must not wait. The socket is closed in the end. Files of keys
    and of `tls` are followed meanwhile. The application's lifespan is not run. Raises ConfigError when another
    process listens at the address.
    """
    allow_open_files(app.profile.server.max_connections)
    listen(listener)
    server = _Server(
        _config(app, tls),
        app.admission,
        on_started=on_started,
        on_draining=on_draining,
        drain_s=drain_s,
    )
    stopping = stop or asyncio.Event()
    with contextlib.ExitStack() as stack:
        stack.callback(listener.close)
        stack.enter_context(_uvicorn_logging())
        if stop is None:
            stack.enter_context(_signals(stopping, app.admission))
        async with asyncio.TaskGroup() as group:
            watchers = [group.create_task(_stop_on(stopping, server)), group.create_task(app.watch_access())]
            if tls is not None:
                watchers.append(group.create_task(tls.watch()))
            try:
                await server.serve(sockets=[listener])
            except asyncio.CancelledError:
                await server.abort()
                raise
            finally:
                for watcher in watchers:
                    watcher.cancel()


def _config(app: GatewayApp, tls: TlsFiles | None) -> ServerConfig:
    limits = app.profile.server
    return ServerConfig(
        app,
        Doorway(limits.max_connections, limits.handshake_s),
        http=HttpProtocol,
        ws=_WebSocketProtocol,
        # A voice frame is small and base64: compressing it costs more time than it saves on the wire.
        ws_per_message_deflate=False,
        ws_max_size=OVERSIZE_FACTOR * limits.max_message_bytes,
        ws_ping_interval=PING_S,
        ws_ping_timeout=PING_S,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls.context,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=int(CLOSE_S),
    )


async def _stop_on(stopping: asyncio.Event, server: uvicorn.Server) -> None:
    await stopping.wait()
    server.should_exit = True


@contextlib.contextmanager
def _signals(stopping: asyncio.Event, admission: Admission) -> Generator[None, None, None]:
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        if stopping.is_set():
            admission.closing.set()
        stopping.set()

    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_signal_handler(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        loop.remove_signal_handler(signal.SIGINT)


@contextlib.contextmanager
def _uvicorn_logging() -> Generator[None, None, None]:
    logger = logging.getLogger("uvicorn")
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers, logger.propagate = [_UvicornLog(logging.WARNING)], False
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[0], before[1]
        logger.setLevel(before[2])
