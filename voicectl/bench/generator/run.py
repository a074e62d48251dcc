"""Put a load on a server and return all that was observed: `run_load`. Judges nothing and prints nothing."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from voicectl.bench.generator.environment import environment_of, usable_cores
from voicectl.bench.generator.lag import merged
from voicectl.bench.generator.messages import Assignment, Finished, Go, Ready, Stop
from voicectl.bench.generator.process import GeneratorFailed, WorkerProcess
from voicectl.bench.generator.progress import Progress, Tally
from voicectl.bench.generator.target import Target, session_update
from voicectl.bench.run_record import FORMAT, CallSample, GeneratorHealth, LoadPlan, RunRecord
from voicectl.bench.usage import Stolen
from voicectl.bench.workload.arrivals import MAX_CALLS, drawn_starts
from voicectl.bench.workload.ready import ReadyWorkload
from voicectl.core.errors import UsageError

START_TIMEOUT_S: Final = 120.0
"""How long a worker may take to encode its sounds."""
PROGRESS_S: Final = 0.25
STOP_TIMEOUT_S: Final = 10.0
"""How long calls may take to hang up once they are told to; who takes longer is counted as unfinished."""
_LEAD_S: Final = 0.1
MAX_DURATION_S: Final = 6 * 3600.0
MAX_CONCURRENCY: Final = 2_000
_REPLY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What no run may exceed. `drain_s` is how long calls may go on after the last start; None: as long as needed."""

    max_calls: int = 10_000
    max_concurrent: int = 1_000
    drain_s: float | None = None
    workers: int | None = None


async def run_load(
    plan: LoadPlan,
    workload: ReadyWorkload,
    target: Target,
    *,
    trace: Sequence[float] | None = None,
    limits: Limits | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    stopping: asyncio.Event | None = None,
) -> RunRecord:
    """Hold the calls of `plan` with `target` and return what happened; every call is in it, however it ended.

    `trace` are the starts of arrivals "trace". `on_progress` is called four times a second, on the event loop.
    Once `stopping` is set no call begins, those in progress hang up, and the record says that they are
    unfinished. Raises UsageError for a plan that cannot be, GatewayUnreachable for a URL that is none, ConfigError for
    a file without authorities,
    GeneratorFailed where a process of the generator itself died.
    """
    bounds = limits or Limits()
    starts = starts_of(plan, bounds, trace)
    # Refuses a URL that is none, and a file that holds no authorities, before anything starts.
    target.tls()
    run = _Run(plan, workload, target, bounds, starts, on_progress, stopping or asyncio.Event())
    return await run.hold()


def starts_of(plan: LoadPlan, limits: Limits, trace: Sequence[float] | None = None) -> tuple[float, ...]:
    """Return when the calls of an open loop begin; none for a closed one. Raises UsageError."""
    if not 0 < plan.duration_s <= MAX_DURATION_S:
        raise UsageError(f"a run of {plan.duration_s:g} s cannot be; above 0, at most {MAX_DURATION_S / 3600:g} hours")
    if not plan.answer_timeout_s > 0:
        raise UsageError(f"an answer cannot be waited for {plan.answer_timeout_s:g} s")
    if plan.arrivals == "closed":
        if plan.concurrency is None or not 1 <= plan.concurrency <= min(limits.max_concurrent, MAX_CONCURRENCY):
            raise UsageError(f"a closed loop needs 1 to {limits.max_concurrent} callers, not {plan.concurrency}")
        return ()
    if plan.arrivals == "trace":
        if not trace:
            raise UsageError("arrivals from a trace need a trace", hint="name a CSV of start times")
        starts = tuple(at for at in trace if at < plan.duration_s)
    elif plan.arrivals in {"poisson", "gamma", "constant"} and plan.calls_per_minute is not None:
        starts = drawn_starts(
            plan.arrivals,  # type: ignore[arg-type] # narrowed by the line above
            plan.calls_per_minute,
            plan.duration_s,
            seed=plan.seed,
            burstiness=plan.burstiness,
        )
    else:
        raise UsageError(f"arrivals {plan.arrivals!r} need a rate of calls a minute")
    if len(starts) > min(limits.max_calls, MAX_CALLS):
        raise UsageError(f"{len(starts)} calls are more than the limit of {limits.max_calls}", hint="a shorter run")
    if not starts:
        raise UsageError(
            f"no call begins within {plan.duration_s:g} s at this rate", hint="a longer run, or a higher rate"
        )
    return starts


@asynccontextmanager
async def stopping_on_interrupt() -> AsyncIterator[asyncio.Event]:
    """Give an event for `run_load` that Ctrl-C sets; a second Ctrl-C interrupts as usual."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, stop)
    try:
        yield stopping
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def drain_of(plan: LoadPlan, workload: ReadyWorkload) -> float:
    """Return how long a call that begins last may take: all its words, and for each turn the longest wait."""
    a_turn_s = max(plan.answer_timeout_s, workload.listen_s) + _REPLY_S
    return workload.longest_call_s + workload.most_turns * a_turn_s + 30.0


def num_workers(plan: LoadPlan, starts: Sequence[float], workload: ReadyWorkload, cores: int) -> int:
    """Return how many processes generate the load: one for each hundred calls at a time, one a core at most."""
    if plan.concurrency is not None and plan.arrivals == "closed":
        at_once = float(plan.concurrency)
    else:
        # By Little's law, with as much time for answers as for words.
        at_once = len(starts) / plan.duration_s * 2 * workload.longest_call_s
    return max(1, min(cores, 1 + int(at_once // _CALLS_A_WORKER)))


_CALLS_A_WORKER: Final = 100


@dataclass(slots=True)
class _Run:
    plan: LoadPlan
    workload: ReadyWorkload
    target: Target
    limits: Limits
    starts: tuple[float, ...]
    on_progress: Callable[[Progress], None]
    stopping: asyncio.Event

    async def hold(self) -> RunRecord:
        cores = usable_cores()
        count = self.limits.workers or num_workers(self.plan, self.starts, self.workload, cores)
        workers: list[WorkerProcess] = []
        try:
            for _ in range(count):
                workers.append(await WorkerProcess.begin())
            await asyncio.gather(*(self._prepare(worker, place, count) for place, worker in enumerate(workers)))
            begun_at = datetime.now(UTC).isoformat(timespec="milliseconds")
            tally, stolen = Tally(self.plan.duration_s, time.monotonic() + _LEAD_S), Stolen()
            for worker in workers:
                await worker.tell(Go(tally.epoch_at))
            finished = await self._watch(workers, tally)
        finally:
            await asyncio.gather(*(worker.end() for worker in workers))
        self.on_progress(tally.progress())
        calls = (*tally.calls.values(), *self._missing(tally))
        ends = [call.ended_at for call in calls if call.ended_at is not None]
        return RunRecord(
            format=FORMAT,
            begun_at=begun_at,
            wall_s=max(ends, default=0.0) - min((call.scheduled_at for call in calls), default=0.0),
            plan=self.plan,
            environment=environment_of(self.target, tally.said),
            health=GeneratorHealth(
                lag_s=merged((one.stride, one.lag_s) for one in finished),
                cpu_share=max((one.cpu_share for one in finished), default=1.0),
                cores=cores,
                stolen_share=stolen.share(),
            ),
            calls=tuple(sorted(calls, key=lambda call: call.call)),
        )

    async def _prepare(self, worker: WorkerProcess, place: int, count: int) -> None:
        """Give a worker its share of the calls and wait until it could begin."""
        plan, numbered = self.plan, list(enumerate(self.starts))
        closed = range(place, plan.concurrency or 0, count) if plan.arrivals == "closed" else ()
        await worker.tell(
            Assignment(
                address=self.target.address,
                headers=self.target.headers,
                workload=self.workload,
                seed=plan.seed,
                greeting=session_update(self.workload.instructions, self.target.transcription, beta=self.target.beta),
                beta=self.target.beta,
                secure=self.target.address.startswith("wss://"),
                ca_file=self.target.ca_file,
                answer_timeout_s=plan.answer_timeout_s,
                connect_timeout_s=self.target.connect_timeout_s,
                duration_s=plan.duration_s,
                starts=tuple(numbered[place::count]),
                slots=tuple(closed),
                stride=plan.concurrency or 1,
                max_calls=self.limits.max_calls,
                max_concurrent=-(-self.limits.max_concurrent // count),
            )
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                ready = await worker.hear()
        except TimeoutError as error:
            raise GeneratorFailed(
                f"a process of the load generator was not ready within {START_TIMEOUT_S:g} s",
                hint="this machine is too busy to generate a load",
            ) from error
        if not isinstance(ready, Ready):
            raise GeneratorFailed("a process of the load generator spoke out of turn")

    async def _watch(self, workers: Sequence[WorkerProcess], tally: Tally) -> list[Finished]:
        """Listen until all workers are done, the run is stopped, or its time is over."""
        listening = [asyncio.ensure_future(self._listen(worker, tally)) for worker in workers]
        told = asyncio.ensure_future(self._tell_progress(tally))
        everyone = asyncio.gather(*listening)
        drain_s = drain_of(self.plan, self.workload) if self.limits.drain_s is None else self.limits.drain_s
        try:
            words = await self._until_stopped(everyone, tally.epoch_at + self.plan.duration_s + drain_s)
            if words is not None:
                tally.stopping = True
                for worker in workers:
                    await worker.tell(Stop(words))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STOP_TIMEOUT_S):
                        await asyncio.shield(everyone)
            return [one.result() for one in listening if one.done()]
        finally:
            for task in (*listening, told):
                task.cancel()
            await asyncio.gather(*listening, told, everyone, return_exceptions=True)

    async def _until_stopped(self, everyone: asyncio.Future[list[Finished]], until_at: float) -> str | None:
        """Wait for the workers; return why they must stop, None if they are done."""
        stop = asyncio.ensure_future(self.stopping.wait())
        try:
            left_s = max(0.0, until_at - time.monotonic())
            ends: set[asyncio.Future[Any]] = {everyone, stop}
            await asyncio.wait(ends, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
        if everyone.done():
            await everyone
            return None
        return "the run was stopped" if self.stopping.is_set() else "the run's time was over"

    async def _listen(self, worker: WorkerProcess, tally: Tally) -> Finished:
        while True:
            message = await worker.hear()
            if isinstance(message, Finished):
                return message
            tally.note(message)

    async def _tell_progress(self, tally: Tally) -> None:
        while True:
            self.on_progress(tally.progress())
            await asyncio.sleep(PROGRESS_S)

    def _missing(self, tally: Tally) -> list[CallSample]:
        """Return the calls that began and of which nothing more was heard."""
        return [
            CallSample(
                call=number,
                workload=self.workload.name,
                scheduled_at=self.starts[number] if number < len(self.starts) else 0.0,
                started_at=None,
                connected_at=None,
                ended_at=None,
                end="unfinished",
                failure="stopped: the call did not hang up in time",
            )
            for number in sorted(tally.begun - tally.calls.keys())
        ]
