"""`voicectl bench`: put a load on a Realtime server, judge what was seen, compare runs, report them again."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voicectl.cli import bench_options as on
from voicectl.cli.bench_load import LoadOptions, load_plan, parse_duration, parse_share
from voicectl.cli.options import JsonOption, ProfileOption, SetOption
from voicectl.cli.output import Output
from voicectl.core.errors import UsageError

if TYPE_CHECKING:
    from voicectl.cli.bench_judging import Judgement
    from voicectl.cli.bench_outputs import Outputs
    from voicectl.cli.bench_running import Work

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Measure a Realtime server under calls: percentiles with intervals, or INVALID.",
)


@app.command(
    "run", epilog="Example: voicectl bench run --workload short-faq --calls-per-minute 12 --slo 'v2v_p95<800ms'"
)
def run_command(
    *,
    server: on.ServerOption = None,
    key_file: on.KeyFileOption = None,
    ca: on.CaOption = None,
    beta: on.BetaOption = False,
    timings: on.TimingsOption = True,
    model: on.ModelOption = "voicectl",
    transcription: on.TranscriptionOption = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    workload: on.WorkloadOption = "short-faq",
    calls_per_minute: on.RateOption = None,
    concurrency: on.ConcurrencyOption = None,
    arrivals: on.ArrivalsOption = None,
    burstiness: on.BurstinessOption = None,
    trace: on.TraceOption = None,
    duration: on.DurationOption = "60s",
    seed: on.SeedOption = 1,
    answer_timeout: on.AnswerTimeoutOption = "10s",
    slo: on.SloOption = None,
    search: on.SearchOption = None,
    warm_up: on.WarmUpOption = None,
    out: on.OutOption = None,
    junit: on.JunitOption = None,
    html: on.HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """Hold calls as a load, and say how long callers wait for their answers.

    The raw record is kept in voicectl-bench-TIME.json.gz. Ctrl-C ends the calls in order and keeps what there is.

    Exit status: 0, 99 if a threshold is not met, 30 if the run is INVALID, 7 if nobody answers there.
    """
    from voicectl.cli import bench_running as running
    from voicectl.cli.bench_judging import Judgement
    from voicectl.cli.bench_outputs import Outputs

    target = running.TargetOptions(
        server, profile, tuple(settings or ()), model, transcription, key_file, ca, beta, timings
    ).checked()
    options = LoadOptions(
        calls_per_minute=calls_per_minute,
        concurrency=concurrency,
        arrivals=arrivals.value if arrivals is not None else None,
        burstiness=burstiness,
        trace=trace,
        duration=duration,
        seed=seed,
        answer_timeout_s=parse_duration(answer_timeout, "--answer-timeout"),
    )
    plan = load_plan(options)
    judgement = Judgement.of(slo or [], warm_up)
    # Whatever is wrong with files or options is said before anything starts.
    outputs = Outputs.checked(out, junit, html, datetime.now(UTC))
    work = running.Work(workload, target, plan, running.checked_starts(plan, trace))
    _hold(work, judgement, outputs, Output(json=json), search)


def _hold(work: "Work", judgement: "Judgement", outputs: "Outputs", output: Output, search: str | None) -> None:
    """Hold the load once, or search for the highest that keeps a threshold; ends the command with its exit status."""
    if search is not None:
        from voicectl.cli.bench_searching import search_command

        search_command(work, judgement, search, outputs, output)
        return
    from voicectl.cli.bench_finishing import finish
    from voicectl.cli.bench_running import run_work
    from voicectl.cli.bench_view import bench_view

    with bench_view(sys.stderr) as view:
        done = asyncio.run(run_work(work, view))
    finish(done.record, judgement, outputs, output, interrupted=done.interrupted)


@app.command("report", epilog="Example: voicectl bench report voicectl-bench-20260102T030405Z.json.gz --html run.html")
def report_command(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="A record that `bench run` has kept.")],
    *,
    slo: on.SloOption = None,
    warm_up: on.WarmUpOption = None,
    junit: on.JunitOption = None,
    html: on.HtmlOption = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    json: JsonOption = False,
) -> None:
    """Judge a kept record again and render it; exit status as of `bench run`."""
    from voicectl.bench.report.files import read_record
    from voicectl.cli.bench_finishing import finish
    from voicectl.cli.bench_judging import Judgement
    from voicectl.cli.bench_outputs import Outputs

    if markdown and json:
        raise UsageError("--markdown and --json both want stdout")
    judgement = Judgement.of(slo or [], warm_up)
    outputs = Outputs.checked(None, junit, html, None)
    finish(read_record(record), judgement, outputs, Output(json=json), markdown=markdown)


@app.command("compare", epilog="Example: voicectl bench compare before.json.gz after.json.gz --tolerance 5%")
def compare_command(
    before: Annotated[Path, typer.Argument(metavar="A", help="The record of the run before.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="The record of the run after.")],
    *,
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="SHARE", help="How much slower is no regression yet.")
    ] = "5%",
    metric: Annotated[str, typer.Option("--metric", metavar="NAME", help="Latency to compare.")] = "v2v",
    warm_up: on.WarmUpOption = None,
    json: JsonOption = False,
) -> None:
    """Say whether B is slower than A, with intervals; exit 99 if it is, 30 if the runs do not compare."""
    from voicectl.cli.bench_comparing import compare_records

    compare_records(
        before,
        after,
        parse_share(tolerance, "--tolerance"),
        Output(json=json),
        metric=metric,
        warm_up_s=None if warm_up is None else parse_duration(warm_up, "--warm-up"),
    )


@app.command("workloads", epilog="Example: voicectl bench workloads")
def workloads_command(json: JsonOption = False) -> None:
    """List the workloads that come with voicectl."""
    from voicectl.bench.workload.reading import builtin_workloads, read_workload
    from voicectl.cli.bench_table import print_workloads

    files = {name: read_workload(path) for name, path in builtin_workloads().items()}
    document = {
        "workloads": [
            {"name": name, "description": file.description, "path": str(builtin_workloads()[name])}
            for name, file in files.items()
        ]
    }
    rows = [(name, file.description) for name, file in files.items()]
    Output(json=json).result(document, lambda console: print_workloads(console, rows))
