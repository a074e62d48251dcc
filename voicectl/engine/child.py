"""One child process: its start, its stderr by the line, and its certain end. Knows no message."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

MAX_LINE_BYTES: Final = 65_536
"""A longer line is passed on in pieces."""
LAST_LINES_S: Final = 0.5
"""How long the last lines of an ended process are waited for."""


class Child(asyncio.SubprocessProtocol):
    """A running child process. It has ended when the kernel says so, even if its own children keep its pipes."""

    def __init__(self, on_line: Callable[[bytes], None]) -> None:
        self._on_line = on_line
        self._buffer = bytearray()
        self._transport: asyncio.SubprocessTransport | None = None
        self._exited = asyncio.Event()
        self._said_all = asyncio.Event()

    @classmethod
    async def spawn(
        cls, command: Sequence[str], environment: Mapping[str, str], on_line: Callable[[bytes], None]
    ) -> "Child":
        """Start a command; `on_line` gets each line of its stderr. Raises OSError."""
        _, child = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(on_line),
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=dict(environment),
            # Out of the terminal's reach from the very start: Ctrl-C is for the gateway.
            process_group=0,
        )
        return child

    @property
    def pid(self) -> int:
        """The process id."""
        return self._running().get_pid()

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._running().get_returncode()

    def write(self, line: bytes) -> None:
        """Write to its stdin, which stays open until the end."""
        stdin = cast(asyncio.WriteTransport, self._running().get_pipe_transport(0))
        stdin.write(line)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                self._running().send_signal(number)

    async def wait(self) -> None:
        """Return when it has ended."""
        await self._exited.wait()

    async def wait_last_lines(self) -> None:
        """Return when an ended process's stderr has been read, or another process holds it open for too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_LINES_S):
                await self._said_all.wait()

    async def end(self, stop_s: float) -> bool:
        """Ask it to end, after `stop_s` seconds end it; False when that was necessary."""
        try:
            self.signal(signal.SIGTERM)
            async with asyncio.timeout(stop_s):
                await self.wait()
        except TimeoutError:
            return False
        finally:
            # Also when the task is cancelled while it waits: no process stays behind.
            self.signal(signal.SIGKILL)
            await self.wait()
            self._running().close()
        return True

    # --- called by the event loop ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.SubprocessTransport, transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Pass on whole lines."""
        *lines, rest = (bytes(self._buffer) + data).split(b"\n")
        for line in lines:
            self._on_line(line)
        if len(rest) > MAX_LINE_BYTES:
            self._on_line(rest)
            rest = b""
        self._buffer[:] = rest

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Pass on the last line; a broken stdin is told by the process's end."""
        if fd == 2:
            if self._buffer:
                self._on_line(bytes(self._buffer))
                self._buffer.clear()
            self._said_all.set()

    def process_exited(self) -> None:
        """Wake who waits for the end."""
        self._exited.set()

    def _running(self) -> asyncio.SubprocessTransport:
        if self._transport is None:
            raise RuntimeError("the child process was not started")
        return self._transport


def exit_text(status: int) -> str:
    """Return how a process with this exit status ended, as the end of a sentence."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by signal {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
