"""Tell the service manager how the gateway is: systemd's notification protocol, or nothing at all.

The messages are those of sd_notify(3). Without $NOTIFY_SOCKET, as in a terminal, nothing is sent.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Literal

import structlog

from voicectl.core.clock import Clock, MonotonicClock

log = structlog.get_logger(__name__)

SOCKET_VARIABLE: Final = "NOTIFY_SOCKET"
INTERVAL_VARIABLE: Final = "WATCHDOG_USEC"
PID_VARIABLE: Final = "WATCHDOG_PID"

EXTEND_EVERY_S: Final = 5.0
EXTEND_BY_S: Final = 20.0
"""How long the manager shall wait for the next message while the gateway starts or drains."""

UNHEALTHY_STATUS: Final = "the engine does not work; waiting for the watchdog"

Phase = Literal["starting", "ready", "stopping"]
Sleep = Callable[[float], Awaitable[None]]


def watchdog_interval_s(environment: Mapping[str, str], pid: int) -> float | None:
    """Return within how many seconds the manager wants a sign of life of process `pid`; None for never."""
    wanted = environment.get(INTERVAL_VARIABLE, "")
    if environment.get(PID_VARIABLE, str(pid)) != str(pid):
        return None
    if not (wanted.isascii() and wanted.isdigit() and int(wanted)):
        if wanted:
            log.warning("watchdog_ignored", variable=INTERVAL_VARIABLE, value=wanted)
        return None
    return int(wanted) / 1e6


def socket_address(environment: Mapping[str, str]) -> str | None:
    """Return the address to notify: a path, or an abstract name with a leading NUL; None for nobody."""
    address = environment.get(SOCKET_VARIABLE, "")
    if address.startswith("@"):
        return f"\0{address[1:]}"
    if address and not address.startswith("/"):
        log.warning("notify_socket_ignored", address=address)
    return address if address.startswith("/") else None


class Notifier:
    """The gateway's line to the service manager.

    `run` is a task of the gateway's. While the event loop turns and `healthy` says so, it tells the
    watchdog; while the gateway starts or drains, it asks for more time, within `starting_s` and
    `draining_s`. A manager that cannot be reached is ignored.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        pid: int,
        starting_s: float,
        draining_s: float,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`sleep` waits so many seconds of `clock`."""
        self._address = socket_address(environment)
        self._watchdog_s = None if self._address is None else watchdog_interval_s(environment, pid)
        self._patience_s: dict[Phase, float] = {"starting": starting_s, "ready": 0.0, "stopping": draining_s}
        self._clock = clock or MonotonicClock()
        self._sleep = sleep
        self._phase: Phase = "starting"
        self._since = self._clock.now()
        self._was_healthy = True
        self._status = ""
        self._socket: socket.socket | None = None

    @property
    def enabled(self) -> bool:
        """Whether anybody listens."""
        return self._address is not None

    def ready(self, status: str) -> None:
        """The gateway takes calls, after its start or after a reload."""
        self._enter("ready", status)
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """The gateway reads its configuration again; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={round(self._clock.now() * 1e6)}")

    def stopping(self, status: str) -> None:
        """The gateway takes no more calls and will end."""
        self._enter("stopping", status)
        self._send("STOPPING=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """Show one line in `systemctl status`."""
        self._status = status
        self._send(f"STATUS={status}")

    async def run(self, healthy: Callable[[], bool]) -> None:
        """Give signs of life until cancelled; ends at once when nobody listens."""
        if not self.enabled:
            return
        # Half of the watchdog's time, as sd_watchdog_enabled(3) recommends.
        pause_s = EXTEND_EVERY_S if self._watchdog_s is None else min(EXTEND_EVERY_S, self._watchdog_s / 2)
        while True:
            self._beat(healthy())
            await self._sleep(pause_s)

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _enter(self, phase: Phase, status: str) -> None:
        self._phase = phase
        self._status = status
        self._since = self._clock.now()

    def _beat(self, healthy: bool) -> None:
        lines = []
        if self._watchdog_s is not None and healthy:
            lines.append("WATCHDOG=1")
        if self._clock.now() - self._since < self._patience_s[self._phase]:
            lines.append(f"EXTEND_TIMEOUT_USEC={round(EXTEND_BY_S * 1e6)}")
        if healthy is not self._was_healthy:
            self._was_healthy = healthy
            log.warning("health_changed", healthy=healthy, phase=self._phase)
            lines.append(f"STATUS={self._status if healthy else UNHEALTHY_STATUS}")
        if lines:
            self._send(*lines)

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        datagram = "\n".join(line.replace("\n", " ") for line in lines).encode(errors="replace")
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                # A manager that does not read must not stop the event loop.
                self._socket.setblocking(False)
            self._socket.sendto(datagram, self._address)
        except OSError as error:
            log.warning("notify_failed", error=str(error), address=self._address.replace("\0", "@"))
