"""A worker process of the load generator, seen from the bench. Knows the pipe, not what the calls are about."""

import asyncio
import contextlib
import sys
import tempfile
from typing import IO, Final

from voicectl.bench.generator.messages import FromWorker, Message, from_worker, packed
from voicectl.core.errors import VoicectlError

_SHOWN_LINES: Final = 5
STOP_TIMEOUT_S: Final = 5.0


class GeneratorFailed(VoicectlError):
    """A process of the load generator ended before its time."""


class WorkerProcess:
    """A worker that runs; `begin` starts one."""

    def __init__(self, process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self._process = process
        self._log = log

    @classmethod
    async def begin(cls) -> "WorkerProcess":
        """Start a worker, apart from the terminal: Ctrl-C is for the bench, which then ends its calls in order."""
        log = tempfile.TemporaryFile(prefix="voicectl-bench-")  # noqa: SIM115 - closed by `end`
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # -P: what lies in the current folder must not pass for a module of ours.
            *("-P", "-m", "voicectl.bench.generator.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        return cls(process, log)

    async def tell(self, message: Message) -> None:
        """Send a message; a worker that has gone is noticed where it is listened to."""
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(ConnectionError):
            pipe.write(packed(message))
            await pipe.drain()

    async def hear(self) -> FromWorker:
        """Wait for the next message. Raises GeneratorFailed when the worker has gone."""
        pipe = self._process.stdout
        assert pipe is not None
        message = await from_worker(pipe)
        if message is None:
            status = await self._process.wait()
            raise GeneratorFailed(
                f"a process of the load generator ended with status {status}:{self._last_words()}",
                hint="fewer calls, or more memory; report what it says if it is none of both",
            )
        return message

    async def end(self) -> None:
        """End the worker by its own pid: first by closing what it reads, then with a kill."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        finally:
            self._log.close()

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").split("\n")
        kept = [line for line in lines if line.strip()][-_SHOWN_LINES:]
        return "".join(f"\n       {line}" for line in kept) or " it said nothing"
