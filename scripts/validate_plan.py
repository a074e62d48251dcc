"""Hold `plan`'s predictions against real calls: workloads and thread settings it was not calibrated with.

    python scripts/validate_plan.py run --out DIR [NAME...]     calibrate, hold every configuration, report
    python scripts/validate_plan.py report --out DIR [NAME...]  predict anew beside what was held; times nothing

A configuration is held at 0.75, 1 and 1.25 of its predicted highest load, and once more where that does not lie on
both sides of the limit. Nothing else may run on the machine meanwhile; five configurations take some 35 minutes.
Everything is kept in DIR as soon as it is known, and what is there is not done again.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from speech_clips import SPEECH, clips_of, machine

from voicectl.bench.generator.target import Target
from voicectl.bench.usage import Others
from voicectl.bench.waveform import audible_span
from voicectl.capacity.calibration import Calibration, read_calibration, write_calibration
from voicectl.capacity.conversation import Conversation
from voicectl.capacity.prediction import Host, Slo
from voicectl.capacity.tuning import thread_settings, tuning_of
from voicectl.cli.private_gateway import private_gateway
from voicectl.core.audio import MODEL_RATE_HZ, Samples
from voicectl.core.config import load_profile
from voicectl.core.errors import VoicectlError
from voicectl.core.log import configure
from voicectl.media.resample import resample
from voicectl.service.calibrating import BUSY_CORES, calibrate, live_settings, profile_utterances
from voicectl.service.validating import (
    MOST_CALLS,
    Held,
    Validation,
    compared,
    held_by,
    validate,
    while_held,
    workload_of,
)

PROMPT = "You are a helpful phone agent for an online shop. Answer in one short sentence."
SLO = Slo(95, 1.2)
NUM_CLIPS = 12
KNEE_BAR = 0.2
INTERVAL_BAR = 0.8


@dataclass(frozen=True, slots=True)
class Workload:
    """Who says what: clips by length, the longest reply, and the time to think."""

    low_s: float
    high_s: float
    reply_tokens: int
    think_s: float
    settings: tuple[str, ...] = ()
    like: str | None = None

    def overrides(self) -> list[str]:
        """Return the profile settings that it is held with."""
        # Admission must not decide what is measured: loads above the highest one are held, too.
        sessions = f"server.max_sessions={MOST_CALLS}"
        reply = f"llm.max_reply_tokens={self.reply_tokens}"
        return [f"llm.system_prompt={PROMPT}", reply, sessions, *self.settings]


WORKLOADS = {
    "usual": Workload(2.0, 5.0, 25, 2.5),
    "short": Workload(1.0, 2.8, 12, 1.5),
    "long": Workload(4.0, 9.0, 48, 4.0),
    "llm-2-threads": Workload(2.0, 5.0, 25, 2.5, ("llm.threads=2",), "usual"),
    "stt-2-threads": Workload(2.0, 5.0, 25, 2.5, ("stt.threads=2", "stt.parallel=1"), "usual"),
}


def voices_of(workload: Workload, folder: Path) -> list[Samples]:
    """Return clips of read speech and commands of that length at 16 kHz, whose sound ends where their speech ends."""
    voices = []
    for clip in clips_of(folder):
        if clip.category not in {"en_read", "en_command"} or not workload.low_s <= clip.duration_s <= workload.high_s:
            continue
        samples, rate = clip.read()
        span = audible_span(samples, rate)
        if clip.speech_end_s is not None and span is not None and abs(span.last_s - clip.speech_end_s) <= 0.3:
            voices.append(resample(samples, rate, MODEL_RATE_HZ))
    if not voices:
        raise SystemExit(f"error: no clip of {workload.low_s:g}-{workload.high_s:g} s in {folder}\nhint:  --speech")
    return voices[:NUM_CLIPS]


@asynccontextmanager
async def gateway_with(overrides: list[str]) -> AsyncIterator[str]:
    """Start a gateway of profile cpu and give its URL."""
    async with private_gateway("cpu", overrides) as gateway:
        yield await gateway.settled_url()


def keep(path: Path, document: object) -> None:
    """Write a document, whole or not at all."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(document, indent=1))
    unfinished.replace(path)


async def calibration_in(folder: Path, name: str) -> Calibration:
    """Return the calibration of a configuration, made now where there is none.

    Each has its own, made just before its loads: a shared machine changes its speed within half an hour. None knows
    the workload or the setting that it is held against.
    """
    path = folder / f"calibration-{name}.json"
    if not path.exists():
        profile = load_profile("cpu")
        told(f"{name}: calibrating")
        found = await calibrate(profile, lambda: gateway_with(live_settings(profile)))
        write_calibration(found, path)
    return read_calibration(path)


async def shape_in(folder: Path, name: str, speech: Path) -> Conversation:
    """Return what a workload asks of the engine, found out now where the folder does not tell."""
    kind = WORKLOADS[name].like or name
    path = folder / f"shape-{kind}.json"
    if not path.exists():
        told(f"{kind}: profiling")
        workload = WORKLOADS[kind]
        voices = voices_of(workload, speech)
        found = await profile_utterances(
            load_profile("cpu", overrides=workload.overrides()), voices, kind, workload.think_s
        )
        keep(path, replace(found, think_spread_s=workload.think_s / 2).document())
    return Conversation.read(json.loads(path.read_text()))


def host_of(workload: Workload, calibration: Calibration, conversation: Conversation, level_s: float) -> Host:
    """Return the host as the plan sees it under a workload that is held for so long."""
    profile = load_profile("cpu", overrides=workload.overrides())
    speeds = calibration.speeds.with_threads(calibration.threads, thread_settings(profile))
    return while_held(Host(speeds, conversation, tuning_of(profile)), level_s)


async def hold(name: str, host: Host, options: argparse.Namespace) -> dict[str, Any]:
    """Hold the loads of a configuration and return what they gave, raw."""
    script = WORKLOADS[name]
    workload = workload_of(voices_of(script, options.speech), host.conversation)
    held: dict[int, Held] = {}

    async def one(num_calls: int, seconds: float) -> Held:
        async with gateway_with(script.overrides()) as url:
            target, cycle_s = Target(url, private=True), host.conversation.cycle_s()
            held[num_calls] = await held_by(target, workload, num_calls, seconds, cycle_s=cycle_s)
        return held[num_calls]

    others = Others()
    await validate(
        host, options.slo, one, seconds=options.level_s, on_level=lambda calls: told(f"{name}: {calls} calls")
    )
    levels = [{"calls": calls, **asdict(level)} for calls, level in sorted(held.items())]
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"made_at": made_at, "machine": machine(), "others_cores": others.cores(), "levels": levels}


def report(name: str, host: Host, slo: Slo, document: dict[str, Any]) -> Validation:
    """Print a configuration's predicted beside its measured figures, and return them."""
    held = {
        row["calls"]: Held(tuple(row["v2v_s"]), row["unanswered"], row["callers_cores"]) for row in document["levels"]
    }
    found = compared(host, slo, held)
    say(f"{name} ({document['made_at']}, {document['machine']}, others took {document['others_cores']:.2f} cores)")
    for level in found.levels:
        predicted = level.predicted
        say(
            f"  {level.calls:3} calls  n={level.num_turns:3}  unanswered={level.unanswered}  "
            f"P95 predicted {predicted.value:.2f} [{predicted.low:.2f}-{predicted.high:.2f}]  "
            f"measured {level.measured_s:.2f}  {'inside' if level.inside else 'OUTSIDE'}  "
            f"callers took {held[level.calls].callers_cores:.2f} cores"
        )
    measured = "not reached" if found.measured_calls is None else f"{found.measured_calls:.1f}"
    error = "" if found.error is None else f" ({found.error:+.0%})"
    say(
        f"  highest load with {slo}: predicted {found.predicted_calls} "
        f"[{found.predicted_low}-{found.predicted_high}], measured {measured}{error}"
    )
    return found


def verdict(calibrations: list[Calibration], found: list[Validation], others: list[float]) -> None:
    """Print what all configurations show together."""
    levels = [level for one in found for level in one.levels]
    near = sum(one.error is not None and abs(one.error) <= KNEE_BAR for one in found)
    inside = sum(level.inside for level in levels)
    share = inside / max(1, len(levels))
    load = max(one.machine.load for one in calibrations)
    took = ", ".join(f"{one.took_s:.0f}" for one in calibrations)
    say(f"calibrations took {took} s (bar 60 s) beside at most {load:.2f} cores of other work")
    say(f"configurations held: {len(found)} of {len(WORKLOADS)}")
    say(f"highest load within {KNEE_BAR:.0%}: {near} of {len(found)} configurations (bar: all)")
    say(f"P95 inside its interval: {inside} of {len(levels)} loads, {share:.0%} (bar {INTERVAL_BAR:.0%})")
    if max([load, *others]) > BUSY_CORES:
        say(f"INVALID: other work took up to {max([load, *others]):.2f} cores; repeat it on an idle machine")


def say(line: str) -> None:
    """Print a line of the result."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def told(step: str) -> None:
    """Tell what is being done."""
    sys.stderr.write(f"{datetime.now(UTC):%H:%M:%S} {step} …\n")


async def campaign(options: argparse.Namespace) -> None:
    """Do what is missing, and report."""
    folder: Path = options.out
    calibrations, found, others = [], [], []
    for name in options.names or WORKLOADS:
        path = folder / f"held-{name}.json"
        if options.what == "report" and not path.exists():
            told(f"{name} was not held")
            continue
        try:
            calibration = await calibration_in(folder, name)
            shape = await shape_in(folder, name, options.speech)
            host = host_of(WORKLOADS[name], calibration, shape, options.level_s)
            if not path.exists():
                keep(path, await hold(name, host, options))
            document = json.loads(path.read_text())
            calibrations.append(calibration)
            found.append(report(name, host, options.slo, document))
            others.append(document["others_cores"])
        except VoicectlError as error:
            # The other configurations are worth the idle machine all the same.
            told(f"{name} FAILED: {error.message}")
    if not found:
        raise SystemExit("error: no configuration was held\nhint:  the reasons are above")
    verdict(calibrations, found, others)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "report"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(WORKLOADS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--level-s", type=float, default=70.0, help="how long each load lasts (70)")
    parser.add_argument("--slo", type=Slo.parse, default=SLO)
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - WORKLOADS.keys()):
        parser.error(f"no configuration is called {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    configure(json=False, level="error")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.what == "report" and not any(options.out.glob("held-*.json")):
        raise SystemExit(f"error: {options.out}: holds no campaign\nhint:  `run` one")
    try:
        asyncio.run(campaign(options))
    except VoicectlError as error:
        raise SystemExit(f"error: {error.message}" + (f"\nhint:  {error.hint}" if error.hint else "")) from error


if __name__ == "__main__":
    main()
