"""One process of the load generator: holds its share of the calls and tells what became of them on a pipe."""

import asyncio
import contextlib
import gc
import os
import sys
import time
from dataclasses import dataclass, field
from typing import IO, Final

from voicectl.bench.generator.conversation import Conversation
from voicectl.bench.generator.failures import unfinished
from voicectl.bench.generator.frames import FrameBank
from voicectl.bench.generator.lag import CpuWatch, Thinned
from voicectl.bench.generator.messages import (
    Assignment,
    CallBegan,
    CallOver,
    Finished,
    Go,
    Message,
    Ready,
    Stop,
    TurnOver,
    packed,
    to_worker,
)
from voicectl.bench.generator.rehearsal import rehearse
from voicectl.bench.generator.target import CallSettings, tls_of
from voicectl.bench.run_record import CallSample, TurnSample
from voicectl.bench.workload.ready import script_of

_NICENESS: Final = -10


@dataclass(slots=True)
class Worker:
    """The calls in progress, and what they have in common."""

    assignment: Assignment
    settings: CallSettings
    bank: FrameBank
    pipe: asyncio.WriteTransport
    lag: Thinned = field(default_factory=Thinned)
    live: set[Conversation] = field(default_factory=set)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    words: str = ""
    num_begun: int = 0

    async def run(self) -> None:
        """Hold all calls."""
        async with asyncio.TaskGroup() as calls:
            for slot in self.assignment.slots:
                calls.create_task(self._closed_loop(slot))
            for number, start_s in self.assignment.starts:
                at = self.settings.epoch_at + start_s
                if not await self._due(at):
                    return
                if len(self.live) >= self.assignment.max_concurrent:
                    self._not_begun(number, start_s)
                    continue
                calls.create_task(self._call(number, at))
                # The call asks for its connection before this one looks at the next start.
                await asyncio.sleep(0)

    def stop(self, words: str) -> None:
        """End every call in order, and begin no other."""
        self.words = words
        self.stopped.set()
        for call in self.live:
            call.stop(words)

    async def _due(self, at: float) -> bool:
        """Wait until `at`; return False once the run is stopped."""
        delay_s = at - time.monotonic()
        if delay_s > 0:
            try:
                async with asyncio.timeout(delay_s):
                    await self.stopped.wait()
            except TimeoutError:
                pass
        return not self.stopped.is_set()

    async def _closed_loop(self, slot: int) -> None:
        """One of several callers who call again as soon as they have hung up."""
        assignment, epoch_at = self.assignment, self.settings.epoch_at
        # Callers who begin together speak together: they are spread over a second and a half.
        due_at = epoch_at + 1.5 * slot / assignment.stride
        for number in range(slot, assignment.max_calls, assignment.stride):
            if not await self._due(due_at) or due_at >= epoch_at + assignment.duration_s:
                return
            sample = await self._call(number, due_at)
            ended_at = epoch_at + (sample.ended_at or 0.0)
            # A server that refuses at once is not called in a tight loop.
            due_at = max(ended_at, due_at + 1.0) if sample.end == "refused" else ended_at

    async def _call(self, number: int, scheduled_at: float) -> CallSample:
        self.num_begun += 1
        self._tell(CallBegan(number))
        script = script_of(self.settings.workload, self.assignment.seed, number)

        def on_turn(turn: TurnSample) -> None:
            self._tell(TurnOver(number, turn))

        call = Conversation(number, script, self.bank, self.settings, self.lag, on_turn=on_turn)
        self.live.add(call)
        try:
            sample = await call.hold(scheduled_at)
        finally:
            self.live.discard(call)
        self._tell(CallOver(sample, call.server))
        return sample

    def _not_begun(self, number: int, start_s: float) -> None:
        failure = unfinished("limit", f"{len(self.live)} calls of this process were in progress")
        script = script_of(self.settings.workload, self.assignment.seed, number)
        name = script.conversation.name
        sample = CallSample(number, name, start_s, None, None, None, failure.end, str(failure))
        self._tell(CallOver(sample, {}))

    def _tell(self, message: Message) -> None:
        self.pipe.write(packed(message))


async def work(orders: IO[bytes], results: IO[bytes]) -> None:
    """Serve one run: an assignment, then Go, then Stop or the end of `orders`."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), orders)
    pipe, told = await loop.connect_write_pipe(_Told, results)
    assignment = await to_worker(reader)
    if not isinstance(assignment, Assignment):
        return
    bank = FrameBank.of(assignment.workload)
    rehearse()
    pipe.write(packed(Ready(sum(map(len, bank.sounds)))))
    go = await to_worker(reader)
    if not isinstance(go, Go):
        return
    worker = Worker(assignment, _settings(assignment, go), bank, pipe)
    _keep_collector_away()
    _go_first()
    watch = CpuWatch()
    beside = [asyncio.create_task(_obey(reader, worker)), asyncio.create_task(_look(watch))]
    try:
        await worker.run()
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    lag = worker.lag
    pipe.write(packed(Finished(tuple(lag.kept), lag.stride, watch.share())))
    pipe.close()
    await told.closed.wait()


class _Told(asyncio.BaseProtocol):
    """Knows when all that was written has left."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:
        """The pipe is closed."""
        self.closed.set()


def _settings(assignment: Assignment, go: Go) -> CallSettings:
    return CallSettings(
        address=assignment.address,
        headers=assignment.headers,
        workload=assignment.workload,
        greeting=assignment.greeting,
        beta=assignment.beta,
        tls=tls_of(assignment.ca_file) if assignment.secure else None,
        answer_timeout_s=assignment.answer_timeout_s,
        connect_timeout_s=assignment.connect_timeout_s,
        epoch_at=go.epoch_at,
    )


def _keep_collector_away() -> None:
    """What was made before the run is never garbage; a full collection over it would delay every call by 20 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _go_first() -> None:
    """Punctuality is what this process is for, and it needs little: where that is allowed, it goes before others."""
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)


async def _obey(reader: asyncio.StreamReader, worker: Worker) -> None:
    """Wait for Stop; a bench that has gone means the same."""
    order = await to_worker(reader)
    worker.stop(order.words if isinstance(order, Stop) else "the bench has gone")


async def _look(watch: CpuWatch) -> None:
    while True:
        await asyncio.sleep(1.0)
        watch.look()


def main() -> None:
    """Serve one run on standard input and output."""
    # Nobody else may write between the messages: what is printed goes where complaints go.
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asyncio.run(work(os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0), results))


if __name__ == "__main__":
    main()
