"""`voicectl plan`: from a demand to hosts, and the measurements that the answer rests on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from voicectl.cli import plan_options as on
from voicectl.cli.options import JsonOption, ProfileOption, SetOption, chosen_profile
from voicectl.cli.output import Output
from voicectl.cli.quantities import seconds, share
from voicectl.core.errors import UsageError

if TYPE_CHECKING:
    from voicectl.capacity.demand import Demand
    from voicectl.capacity.prediction import Host, Slo
    from voicectl.core.profile import Profile
    from voicectl.service.planning import Wanted
    from voicectl.service.validating import Validation

DEFAULT_SLO: Final = "v2v_p95<800ms"
BROKEN_PROMISE: Final = 99
"""Exit status where the promise cannot be kept, as for `bench` with a threshold that is breached."""

app = typer.Typer(add_completion=False, invoke_without_command=True)


@app.callback(
    epilog="Example: voicectl plan --calls-per-hour 1200 --handle-time 180s --slo 'v2v_p95<800ms' --hardware l40s "
    "--profile gpu-l40s"
)
def plan_command(
    context: typer.Context,
    *,
    calls_per_hour: on.RateOption = None,
    demand: on.DemandOption = None,
    day: on.DayOption = "office",
    handle_time: on.HandleTimeOption = "180s",
    talk_ratio: on.TalkRatioOption = None,
    language: on.LanguageOption = None,
    slo: on.SloOption = DEFAULT_SLO,
    blocking: on.BlockingOption = "1%",
    burst: on.BurstOption = 2.0,
    profile: ProfileOption = None,
    settings: SetOption = None,
    hardware: on.HardwareOption = None,
    calibration: on.CalibrationOption = None,
    extrapolate: on.ExtrapolateOption = False,
    model: on.LlmOption = None,
    quantisation: on.QuantisationOption = None,
    context_tokens: on.ContextOption = None,
    kv: on.KvOption = None,
    reply_tokens: on.ReplyOption = None,
    price: on.PriceOption = None,
    power: on.PowerOption = None,
    kwh: on.KwhOption = 0.15,
    years: on.YearsOption = 4.0,
    staff: on.StaffOption = None,
    write: on.WriteOption = None,
    plot: on.PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Size hosts for a demand: sessions a host, hosts for the peak, memory, latency, costs, settings.

    Rests on `voicectl plan calibrate` of this host, or on a data sheet (--hardware), whose answers are ESTIMATES.
    Exit 99 when the promise cannot be kept; the best that can be had is told.
    """
    if context.invoked_subcommand is not None:
        return
    from voicectl.capacity.prediction import Slo
    from voicectl.service.planning import Basis, Money, Wanted, WhatIf

    if hardware is not None and calibration is not None:
        raise UsageError("--hardware and --calibration exclude each other", hint="a plan rests on one of them")
    if plot is not None and plot.suffix not in {".svg", ".png", ".html"}:
        raise UsageError(f"--plot {plot}: is no .svg, .png or .html")
    wanted = Wanted(
        profile=chosen_profile(profile, settings),
        demand=_demand(calls_per_hour, demand, day, handle_time=handle_time, talk_ratio=talk_ratio, language=language),
        slo=Slo.parse(slo),
        blocking=share(blocking, "--blocking"),
        basis=Basis(calibration, hardware, extrapolate),
        what_if=WhatIf(model, quantisation, context_tokens, kv, reply_tokens),
        money=Money(price, power, kwh, years, staff),
        burst_factor=burst,
    )
    _answer(wanted, Output(json=json), plot, write)


def _answer(wanted: "Wanted", output: Output, plot: Path | None, write: Path | None) -> None:
    """Make the plan, draw and write what is wanted, print it; ends the command with 99 for a promise not kept."""
    from voicectl.capacity.planner import plan
    from voicectl.cli.plan_view import render_plan
    from voicectl.service.planning import question_of, write_profile

    found = plan(question_of(wanted))
    written = []
    # Before anything is printed: a reader who leaves early ends the command.
    if found.sessions and plot is not None:
        from voicectl.cli.plan_plots import draw

        draw(found, wanted.demand, plot)
        written.append(f"drawn: {plot}")
    if found.sessions and write is not None:
        write_profile(found, wanted.profile, write)
        written.append(f"written: {write}; serve it with `voicectl serve --profile {write}`")
    output.result(found.document(), lambda console: render_plan(console, found))
    if not found.sessions:
        raise typer.Exit(BROKEN_PROMISE)
    for text in written:
        output.note(text)


def _demand(
    calls_per_hour: float | None,
    table: Path | None,
    day: str,
    *,
    handle_time: str,
    talk_ratio: str | None,
    language: list[str] | None,
) -> "Demand":
    from voicectl.capacity.demand import demand_of, language_shares, read_demand

    handle_s = seconds(handle_time, "--handle-time")
    ratio = None if talk_ratio is None else share(talk_ratio, "--talk-ratio")
    languages = language_shares(language or ["en"])
    if (calls_per_hour is None) == (table is None):
        raise UsageError(
            "how many calls are there?", hint="give either --calls-per-hour N or --demand FILE.csv (hour,calls)"
        )
    if table is not None:
        return read_demand(table, handle_s, talk_ratio=ratio, languages=languages)
    return demand_of(calls_per_hour or 0.0, handle_s, day=day, talk_ratio=ratio, languages=languages)


@app.command("calibrate", epilog="Example: voicectl plan calibrate --profile cpu")
def calibrate_command(
    *,
    profile: ProfileOption = None,
    settings: SetOption = None,
    out: on.CalibrationOutOption = None,
    json: JsonOption = False,
) -> None:
    """Measure this host with the profile's models, in about a minute, while nothing else runs on it."""
    from voicectl.capacity.calibration import write_calibration
    from voicectl.cli.plan_view import render_calibration
    from voicectl.core.log import configure
    from voicectl.service.calibrating import BUSY_CORES, calibrate, calibration_path, live_settings

    configure(json=False, level="error")
    output = Output(json=json)
    chosen = chosen_profile(profile, settings)
    path = out or calibration_path(chosen.name)
    start = _gateway(profile, [*(settings or []), *live_settings(chosen)])
    found = asyncio.run(calibrate(chosen, start, on_step=lambda step: output.note(f"{step} …")))
    write_calibration(found, path)
    document = {**asdict(found), "speeds": found.speeds.document(), "path": str(path)}
    output.result(document, lambda console: render_calibration(console, found, path))
    if found.machine.load > BUSY_CORES:
        output.note(f"WARNING: other work took {found.machine.load:.1f} cores meanwhile; repeat it on an idle host")


@app.command("validate", epilog="Example: voicectl plan validate --slo 'v2v_p95<1s' --seconds 120")
def validate_command(
    *,
    slo: on.SloOption = DEFAULT_SLO,
    profile: ProfileOption = None,
    settings: SetOption = None,
    calibration: on.CalibrationOption = None,
    length: on.LevelOption = "60s",
    json: JsonOption = False,
) -> None:
    """Hold real calls at and around the predicted highest load, and print predicted against measured.

    The callers run on this host, too: their share of its cores is part of the prediction.
    """
    from voicectl.capacity.prediction import Slo
    from voicectl.cli.plan_view import render_validation, validation_document
    from voicectl.core.log import configure
    from voicectl.service.planning import host_of
    from voicectl.service.validating import MOST_CALLS, while_held

    configure(json=False, level="error")
    output = Output(json=json)
    chosen = chosen_profile(profile, settings)
    length_s = seconds(length, "--seconds")
    host = while_held(host_of(chosen, calibration), length_s)
    # Admission must not decide what is measured: loads above the knee are held, too.
    start = _gateway(profile, [*(settings or []), f"server.max_sessions={MOST_CALLS}"])
    found = asyncio.run(_validate(chosen, start, host, Slo.parse(slo), length_s))
    output.result(validation_document(found), lambda console: render_validation(console, found))


async def _validate(
    chosen: "Profile", start: Callable[[], AbstractAsyncContextManager[str]], host: "Host", slo: "Slo", length_s: float
) -> "Validation":
    """Hold the loads, each with a gateway of its own, so that none inherits what another left behind."""
    from voicectl.bench.generator.target import Target
    from voicectl.service.validating import Held, caller_voices, held_by, validate, workload_of

    workload = workload_of(await caller_voices(chosen), host.conversation)

    async def hold(num_calls: int, seconds: float) -> Held:
        async with start() as url:
            target = Target(url, private=True)
            return await held_by(target, workload, num_calls, seconds, cycle_s=host.conversation.cycle_s())

    return await validate(host, slo, hold, seconds=length_s)


def _gateway(profile: str | None, settings: list[str] | None) -> Callable[[], AbstractAsyncContextManager[str]]:
    """Return what starts a private gateway like the one that `serve` runs, and gives its URL."""
    from voicectl.cli.private_gateway import private_gateway

    @asynccontextmanager
    async def opened() -> AsyncIterator[str]:
        async with private_gateway(profile, settings or ()) as gateway:
            yield await gateway.settled_url()

    return opened
