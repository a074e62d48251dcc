"""The options of `voicectl bench`, by name. Decide nothing."""

from pathlib import Path
from typing import Annotated

import typer

from voicectl.cli.bench_load import Arrivals

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

ServerOption = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Any Realtime server, with its key in VOICECTL_API_KEY; by default a private gateway.",
    ),
]
KeyFileOption = Annotated[
    Path | None, typer.Option("--key-file", metavar="FILE", help="The server's key, instead of VOICECTL_API_KEY.")
]
CaOption = Annotated[
    Path | None, typer.Option("--ca", metavar="FILE", help="Authorities that a wss:// server is believed by, PEM.")
]
BetaOption = Annotated[bool, typer.Option("--beta", help="Speak the Realtime protocol of before GA.")]
TimingsOption = Annotated[
    bool, typer.Option("--timings/--no-timings", help="Ask voicectl for its stages; other servers pass over that.")
]
ModelOption = Annotated[
    str, typer.Option("--model", metavar="NAME", help="Model that a server is asked for; '' asks for none.")
]
TranscriptionOption = Annotated[
    str | None,
    typer.Option("--transcription", metavar="MODEL", help="Transcription to ask for, where a server wants that."),
]
WorkloadOption = Annotated[
    str, typer.Option("--workload", "-w", metavar="NAME|FILE", help="What callers do; see `bench workloads`.")
]
RateOption = Annotated[
    float | None, typer.Option("--calls-per-minute", metavar="R", help="Calls come at this rate; by default 6.")
]
ConcurrencyOption = Annotated[
    int | None, typer.Option("--concurrency", metavar="N", help="Keep N calls in progress instead.")
]
ArrivalsOption = Annotated[
    Arrivals | None, typer.Option("--arrivals", metavar="KIND", help="poisson (the default), gamma or constant.")
]
BurstinessOption = Annotated[
    float | None, typer.Option("--burstiness", metavar="B", help="Of gamma: 1 is Poisson, less is burstier.")
]
TraceOption = Annotated[
    Path | None, typer.Option("--trace", metavar="FILE", help="Calls come at these instants; CSV, seconds.")
]
DurationOption = Annotated[
    str, typer.Option("--duration", "-d", metavar="TIME", help="How long calls begin: 60s, 5m, 1h.")
]
SeedOption = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Of arrivals and of what is drawn from the workload.")
]
AnswerTimeoutOption = Annotated[
    str, typer.Option("--answer-timeout", metavar="TIME", help="How long a caller waits for an answer.")
]
SearchOption = Annotated[
    str | None, typer.Option("--search", metavar="EXPR", help="Find the highest load that keeps this threshold.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder of the record; by default this one.")
]
