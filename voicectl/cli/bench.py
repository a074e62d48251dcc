"""`voicectl bench`: put a load on a Realtime server, judge what was seen, compare runs, report them again."""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from voicectl.cli import bench_load
from voicectl.cli.options import JsonOption, ProfileOption, SetOption
from voicectl.cli.output import Output
from voicectl.core.errors import UsageError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    help="Measure a Realtime server under calls: percentiles with intervals, or INVALID.",
)

SloOption = Annotated[
    list[str] | None,
    typer.Option("--slo", metavar="EXPR", help="Threshold, as 'v2v_p95<800ms'; exit 99 if not met. Repeatable."),
]
WarmUpOption = Annotated[
    str | None, typer.Option("--warm-up", metavar="TIME", help="Drop the first TIME; by default it is detected.")
]
JunitOption = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML for CI.")]
HtmlOption = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write a page with plots that needs no network.")
]


@app.command(
    "run", epilog="Example: voicectl bench run --workload short-faq --calls-per-minute 12 --slo 'v2v_p95<800ms'"
)
def run_command(
    *,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL",
            help="Any Realtime server, with its key in VOICECTL_API_KEY; by default a private gateway.",
        ),
    ] = None,
    profile: ProfileOption = None,
    settings: SetOption = None,
    model: Annotated[
        str, typer.Option("--model", metavar="NAME", help="Model that a server is asked for.")
    ] = "voicectl",
    transcription: Annotated[
        str | None,
        typer.Option("--transcription", metavar="MODEL", help="Transcription to ask for, where a server wants that."),
    ] = None,
    workload: Annotated[
        str, typer.Option("--workload", "-w", metavar="NAME|FILE", help="What callers do; see `bench workloads`.")
    ] = "short-faq",
    calls_per_minute: Annotated[
        float | None, typer.Option("--calls-per-minute", metavar="R", help="Calls come at this rate; by default 6.")
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", metavar="N", help="Keep N calls in progress instead.")
    ] = None,
    arrivals: Annotated[
        bench_load.Arrivals | None,
        typer.Option("--arrivals", metavar="KIND", help="poisson (the default), gamma or constant."),
    ] = None,
    burstiness: Annotated[
        float | None, typer.Option("--burstiness", metavar="B", help="Of gamma: 1 is Poisson, less is burstier.")
    ] = None,
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="FILE", help="Calls come at these instants; CSV, seconds.")
    ] = None,
    duration: Annotated[
        str, typer.Option("--duration", "-d", metavar="TIME", help="How long calls begin: 60s, 5m, 1h.")
    ] = "60s",
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Of arrivals and of what is drawn from the workload.")
    ] = 1,
    answer_timeout: Annotated[
        str, typer.Option("--answer-timeout", metavar="TIME", help="How long a caller waits for an answer.")
    ] = "10s",
    slo: SloOption = None,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="EXPR", help="Find the highest load that keeps this threshold."),
    ] = None,
    warm_up: WarmUpOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder of the record; by default this one.")
    ] = None,
    junit: JunitOption = None,
    html: HtmlOption = None,
    json: JsonOption = False,
) -> None:
    """Hold calls as a load, and say how long callers wait for their answers.

    The raw record is kept in voicectl-bench-TIME.json.gz. Ctrl-C ends the calls in order and keeps what there is.

    Exit status: 0, 99 if a threshold is not met, 30 if the run is INVALID, 7 if nobody answers there.
    """
    from voicectl.cli import bench_running as running
    from voicectl.cli.bench_finishing import finish
    from voicectl.cli.bench_judging import Judgement
    from voicectl.cli.bench_outputs import Outputs

    if server is not None and settings:
        raise UsageError("--set changes a private gateway; --server is a running one")
    plan = bench_load.load_plan(
        bench_load.LoadOptions(
            calls_per_minute=calls_per_minute,
            concurrency=concurrency,
            arrivals=arrivals.value if arrivals is not None else None,
            burstiness=burstiness,
            trace=trace,
            duration=duration,
            seed=seed,
            answer_timeout_s=bench_load.parse_duration(answer_timeout, "--answer-timeout"),
        )
    )
    judgement = Judgement.of(slo or [], warm_up)
    # Whatever is wrong with files or options is said before anything starts.
    outputs = Outputs.checked(out, junit, html, datetime.now(UTC))
    target = running.TargetOptions(server, profile, tuple(settings or ()), model, transcription)
    work = running.Work(workload, target, plan, running.checked_starts(plan, trace))
    if search is not None:
        from voicectl.cli.bench_searching import search_command

        search_command(work, judgement, search, outputs, Output(json=json))
        return
    from voicectl.cli.bench_view import bench_view

    with bench_view(sys.stderr) as view:
        done = asyncio.run(running.run_work(work, view))
    finish(done.record, judgement, outputs, Output(json=json), interrupted=done.interrupted)


@app.command("report", epilog="Example: voicectl bench report voicectl-bench-20260102T030405Z.json.gz --html run.html")
def report_command(
    record: Annotated[Path, typer.Argument(metavar="RECORD", help="A record that `bench run` has kept.")],
    *,
    slo: SloOption = None,
    warm_up: WarmUpOption = None,
    junit: JunitOption = None,
    html: HtmlOption = None,
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
    warm_up: WarmUpOption = None,
    json: JsonOption = False,
) -> None:
    """Say whether B is slower than A, with intervals; exit 99 if it is, 30 if the runs do not compare."""
    from voicectl.cli.bench_comparing import compare_records

    compare_records(
        before,
        after,
        bench_load.parse_share(tolerance, "--tolerance"),
        Output(json=json),
        metric=metric,
        warm_up_s=None if warm_up is None else bench_load.parse_duration(warm_up, "--warm-up"),
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
