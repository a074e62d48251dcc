"""One bench run from the command line: the workload's voices, the server, the load, and Ctrl-C."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from voicectl.cli.options import chosen_profile
from voicectl.cli.private_gateway import private_gateway
from voicectl.cli.talk import API_KEY_VARIABLE

if TYPE_CHECKING:
    from voicectl.bench.generator.progress import Progress
    from voicectl.bench.generator.target import Target
    from voicectl.bench.run_record import LoadPlan, RunRecord
    from voicectl.bench.workload.ready import ReadyWorkload

PROBE_TIMEOUT_S: Final = 10.0


class View(Protocol):
    """What shows a run."""

    def note(self, text: str) -> None:
        """Say something beside the run."""
        ...

    def show(self, progress: "Progress") -> None:
        """Show how far the run is."""
        ...


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """Which server, as the command line says it. Without `server`, a private gateway with `profile`."""

    server: str | None
    profile: str | None
    settings: tuple[str, ...]
    model: str
    transcription: str | None


@dataclass(frozen=True, slots=True)
class Work:
    """All that a run is made of. `starts` are those of a trace."""

    workload: str
    target: TargetOptions
    plan: "LoadPlan"
    starts: tuple[float, ...] | None


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a run, and whether Ctrl-C ended it."""

    record: "RunRecord"
    interrupted: bool


async def ready_workload(name_or_path: str, target: TargetOptions, view: View) -> "ReadyWorkload":
    """Return a workload with all its sounds. Raises WorkloadError, or ArtifactMissing without a voice."""
    from voicectl.bench.workload.reading import workload_path
    from voicectl.core.log import configure
    from voicectl.service.speaking_workloads import speaking_workload

    profile = chosen_profile(target.profile, list(target.settings))
    # Said before the note, which would be about nothing.
    await asyncio.to_thread(workload_path, name_or_path)
    configure(json=False, level="warning")
    view.note(f"preparing the workload {name_or_path} …")
    return await speaking_workload(name_or_path, profile)


@asynccontextmanager
async def bench_target(options: TargetOptions, view: View) -> "AsyncIterator[Target]":
    """Give a server that takes calls: the named one, or a private gateway for the length of the block.

    Raises GatewayUnreachable where nobody answers.
    """
    from voicectl.bench.generator.target import Target

    if options.server is not None:
        api_key = os.environ.get(API_KEY_VARIABLE) or None
        target = Target(options.server, options.model, api_key, transcription=options.transcription)
        await refuse_unreachable(target)
        yield target
        return
    profile = chosen_profile(options.profile, list(options.settings))
    view.note(f"starting a private gateway with profile {profile.name} …")
    async with private_gateway(options.profile, options.settings) as gateway:
        server = (("profile", profile.name), *((f"model {role}", name) for role, name in profile.model_names().items()))
        yield Target(await gateway.url(), private=True, server=server)


async def refuse_unreachable(target: "Target", timeout_s: float = PROBE_TIMEOUT_S) -> None:
    """Call once and hang up, so that a server that is not there costs no run. Raises GatewayUnreachable."""
    from voicectl.bench.caller import GatewayUnreachable
    from voicectl.bench.generator.failures import CallFailed
    from voicectl.bench.generator.line import open_line

    try:
        line = await open_line(
            target.address, target.headers, lambda message, at: None, lambda failure: None, timeout_s=timeout_s
        )
    except CallFailed as failure:
        raise GatewayUnreachable(f"no call to {target.url}: {failure}", hint=_hint_for(str(failure))) from failure
    await line.close()


async def hold(
    plan: "LoadPlan",
    workload: "ReadyWorkload",
    target: "Target",
    *,
    view: View,
    stopping: asyncio.Event,
    starts: tuple[float, ...] | None = None,
) -> "RunRecord":
    """Hold the calls of one plan; once `stopping` is set they hang up, and the record says so."""
    from voicectl.bench.generator.run import run_load

    named = replace(plan, workload=workload.name, workload_digest=workload.digest)
    record = await run_load(named, workload, target, trace=starts, on_progress=view.show, stopping=stopping)
    return marked_stopped(record) if stopping.is_set() else record


async def run_work(work: Work, view: View) -> Done:
    """Prepare the workload and the server, and hold the calls."""
    from voicectl.bench.generator.run import stopping_on_interrupt

    workload = await ready_workload(work.workload, work.target, view)
    async with bench_target(work.target, view) as target, stopping_on_interrupt() as stopping:
        record = await hold(work.plan, workload, target, view=view, stopping=stopping, starts=work.starts)
        return Done(record, interrupted=stopping.is_set())


def marked_stopped(record: "RunRecord") -> "RunRecord":
    """Return a record of a run that was stopped so that it shows: with a call that did not end as planned.

    Between two calls of an open loop nobody hangs up, and what was seen so far would look like a whole run.
    """
    from voicectl.bench.run_record import CallSample

    if any(call.end == "unfinished" for call in record.calls):
        return record
    number = max((call.call for call in record.calls), default=-1) + 1
    words = "stopped: the run was stopped before its time"
    missing = CallSample(number, record.plan.workload, record.wall_s, None, None, None, "unfinished", words)
    return replace(record, calls=(*record.calls, missing))


def checked_starts(plan: "LoadPlan", trace: Path | None) -> tuple[float, ...] | None:
    """Return the starts of a trace file, None without one. Raises ConfigError, and UsageError for no possible plan."""
    from voicectl.bench.generator.run import Limits, starts_of
    from voicectl.bench.workload.arrivals import read_trace

    starts = None if trace is None else read_trace(trace, plan.duration_s)
    starts_of(plan, Limits(), starts)
    return starts


def _hint_for(failure: str) -> str:
    if "HTTP 401" in failure or "HTTP 403" in failure:
        return f"the server wants a key: set {API_KEY_VARIABLE}"
    return "is a Realtime server running there? Without --server, bench starts its own"
