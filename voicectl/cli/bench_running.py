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
from voicectl.core.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from voicectl.bench.generator.progress import Progress
    from voicectl.bench.generator.target import Target
    from voicectl.bench.run_record import LoadPlan, RunRecord
    from voicectl.bench.workload.ready import ReadyWorkload

PROBE_TIMEOUT_S: Final = 10.0
MAX_KEY_CHARS: Final = 4096


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
    profile: str | None = None
    settings: tuple[str, ...] = ()
    model: str = "voicectl"
    transcription: str | None = None
    key_file: Path | None = None
    ca_file: Path | None = None
    beta: bool = False
    timings: bool = True

    def checked(self) -> "TargetOptions":
        """Return the options, none of which is for the other kind of server. Raises UsageError."""
        if self.server is not None and self.settings:
            raise UsageError("--set changes a private gateway; --server is a running one")
        of_servers = {
            "--key-file": self.key_file is not None,
            "--ca": self.ca_file is not None,
            "--beta": self.beta,
            "--no-timings": not self.timings,
        }
        if self.server is None and (given := [option for option, is_given in of_servers.items() if is_given]):
            raise UsageError(f"{given[0]} is about a running server", hint="name it with --server")
        return self

    def target(self, server: str) -> "Target":
        """Return a running server as a target. Raises ConfigError for a key or authorities that cannot be read."""
        from voicectl.bench.generator.target import Target

        target = Target(
            server,
            self.model,
            api_key=read_key(self.key_file),
            transcription=self.transcription,
            timings=self.timings and not self.beta,
            beta=self.beta,
            ca_file=None if self.ca_file is None else str(self.ca_file),
        )
        target.tls()
        return target


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
    if options.server is not None:
        target = options.target(options.server)
        await refuse_unreachable(target)
        yield target
        return
    from voicectl.bench.generator.target import Target

    profile = chosen_profile(options.profile, list(options.settings))
    view.note(f"starting a private gateway with profile {profile.name} …")
    async with private_gateway(options.profile, options.settings) as gateway:
        server = (("profile", profile.name), *((f"model {role}", name) for role, name in profile.model_names().items()))
        yield Target(await gateway.settled_url(), private=True, server=server)


async def refuse_unreachable(target: "Target", timeout_s: float = PROBE_TIMEOUT_S) -> None:
    """Call once and hang up, so that a server that is not there costs no run. Raises GatewayUnreachable."""
    from voicectl.bench.caller import GatewayUnreachable
    from voicectl.bench.generator.failures import CallFailed
    from voicectl.bench.generator.line import open_line

    try:
        line = await open_line(
            target.address,
            target.headers,
            lambda message, at: None,
            lambda failure: None,
            timeout_s=timeout_s,
            tls=target.tls(),
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


def read_key(path: Path | None) -> str | None:
    """Return the key of a file, else of the environment, None without either. Raises ConfigError."""
    if path is None:
        return os.environ.get(API_KEY_VARIABLE) or None
    try:
        with path.open(encoding="utf-8") as file:
            key = file.read(MAX_KEY_CHARS + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--key-file {path}: cannot be read: {error}", hint="a file that holds the key alone"
        ) from error
    if not key or len(key) > MAX_KEY_CHARS or not key.isascii() or len(key.split()) != 1:
        raise ConfigError(f"--key-file {path}: holds no key", hint="a file that holds the key alone, on one line")
    return key


def _hint_for(failure: str) -> str:
    if "HTTP 401" in failure or "HTTP 403" in failure:
        return f"the server wants a key: set {API_KEY_VARIABLE}, or name a file with --key-file"
    if "HTTP 404" in failure:
        return "calls go to /v1/realtime; another path is part of --server, for example wss://host/openai/realtime"
    if failure.startswith("tls: "):
        return "the certificate of a private authority is believed with --ca FILE"
    return "is a Realtime server running there? Without --server, bench starts its own"
