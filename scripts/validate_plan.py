"""Hold `plan`'s predictions against real calls: workloads and thread settings it was not calibrated with.

    python scripts/validate_plan.py shapes --out DIR            what each workload asks of the engine; times nothing
    python scripts/validate_plan.py hold NAME... --levels 6 12 --out DIR [--level-s 16]
    python scripts/validate_plan.py compare NAME... --calibration F --shapes DIR --out DIR

`hold` holds each workload at rising loads (calls join, the first ones stay) and keeps v2v from the waveforms;
nothing else may run on the machine meanwhile. `compare` prints what was predicted beside what was measured; loads
should lie on both sides of the highest one that keeps the promise.
"""

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from speech_clips import SPEECH, Clip, clips_of, machine

from voicectl.bench.load import LoadShape, TurnOutcome, Utterance, run_calls
from voicectl.bench.waveform import audible_span
from voicectl.capacity.calibration import read_calibration
from voicectl.capacity.conversation import Conversation
from voicectl.capacity.prediction import Host, Slo, knee
from voicectl.capacity.tuning import thread_settings, tuning_of
from voicectl.cli.private_gateway import private_gateway
from voicectl.core.audio import MODEL_RATE_HZ
from voicectl.core.config import load_profile
from voicectl.core.log import configure
from voicectl.media.resample import resample
from voicectl.service.calibrating import profile_utterances
from voicectl.service.validating import crossing

PROMPT = "You are a helpful phone agent for an online shop. Answer in one short sentence."
CALLERS_CORES = 0.06
"""What the callers of this script take of the same cores (0.04 to 0.08, `docs/performance.md`)."""
SLO = Slo(95, 1.2)
SETTLE_S = 3.0


@dataclass(frozen=True, slots=True)
class Workload:
    """Who says what: clips by length, the longest reply, and the time to think."""

    low_s: float
    high_s: float
    reply_tokens: int
    think_s: float
    settings: tuple[str, ...] = ()
    like: str | None = None


WORKLOADS = {
    "usual": Workload(2.0, 5.0, 25, 2.5),
    "short": Workload(1.0, 2.8, 12, 1.5),
    "long": Workload(4.0, 9.0, 48, 4.0),
    "llm-2-threads": Workload(2.0, 5.0, 25, 2.5, ("llm.threads=2",), "usual"),
    "stt-2-threads": Workload(2.0, 5.0, 25, 2.5, ("stt.threads=2", "stt.parallel=1"), "usual"),
}


def settings_of(workload: Workload) -> list[str]:
    """Return the profile settings of a workload."""
    return [
        f"llm.system_prompt={PROMPT}",
        f"llm.max_reply_tokens={workload.reply_tokens}",
        "server.max_sessions=64",
        *workload.settings,
    ]


def clips_for(workload: Workload, folder: Path) -> list[Clip]:
    """Return clips of read speech and commands of that length, whose speech ends where they end."""
    chosen = []
    for clip in clips_of(folder):
        if clip.category not in {"en_read", "en_command"} or not workload.low_s <= clip.duration_s <= workload.high_s:
            continue
        samples, rate = clip.read()
        span = audible_span(samples, rate)
        if clip.speech_end_s is not None and span is not None and abs(span.last_s - clip.speech_end_s) <= 0.3:
            chosen.append(clip)
    return chosen[:12]


async def shape(name: str, folder: Path) -> Conversation:
    """Return what a workload asks of the engine."""
    workload = WORKLOADS[name]
    profile = load_profile("cpu", overrides=[*settings_of(workload), "timeouts.worker_start_s=600"])
    voices = []
    for clip in clips_for(workload, folder):
        samples, rate = clip.read()
        voices.append(resample(samples, rate, MODEL_RATE_HZ))
    conversation = await profile_utterances(profile, voices, name, workload.think_s)
    return replace(conversation, think_spread_s=workload.think_s / 2)


def host_of(name: str, calibration_file: Path, shapes: Path) -> Host:
    """Return the host as the plan sees it under a workload."""
    calibration = read_calibration(calibration_file)
    workload = WORKLOADS[name]
    profile = load_profile("cpu", overrides=settings_of(workload))
    conversation = Conversation.read(json.loads((shapes / f"{workload.like or name}.json").read_text()))
    speeds = calibration.speeds.with_threads(calibration.threads, thread_settings(profile))
    return Host(speeds, conversation, tuning_of(profile), others_cores=CALLERS_CORES)


async def hold(name: str, levels: list[int], level_s: float, folder: Path) -> list[tuple[float, TurnOutcome]]:
    """Hold the levels one after the other; return the turns with the seconds since the first call."""
    workload = WORKLOADS[name]
    utterances = []
    for clip in clips_for(workload, folder):
        samples, rate = clip.read()
        utterances.append(Utterance.of(clip.path.name, samples, rate))
    stopping = asyncio.Event()
    turns: list[TurnOutcome] = []

    async def group(num_calls: int, begins_s: float) -> None:
        await asyncio.sleep(begins_s)
        spread_s = min(level_s / 3, 6.0)
        load = LoadShape(num_calls, 99, spread_s / num_calls, workload.think_s, workload.think_s / 2, unanswered_s=15.0)
        await run_calls(url, load, utterances, turns.append, stopping)

    overrides = (*settings_of(workload), "llm.hot_sessions=32")
    async with private_gateway("cpu", overrides) as gateway:
        url = await gateway.url()
        await asyncio.sleep(1.0)
        began_at = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            added = 0
            for index, level in enumerate(levels):
                tasks.create_task(group(level - added, index * level_s))
                added = level
            await asyncio.sleep(level_s * len(levels))
            stopping.set()
    return [(turn.began_at - began_at, turn) for turn in turns]


async def measure(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Hold the levels and return what was measured."""
    turns = await hold(name, options.levels, options.level_s, options.speech)
    rows = []
    for index, level in enumerate(options.levels):
        # Turns of the first seconds of a level were begun under the one before.
        begins_s, ends_s = index * options.level_s + SETTLE_S, (index + 1) * options.level_s
        mine = [turn for at_s, turn in turns if begins_s <= at_s < ends_s]
        v2v = [turn.report.v2v_ms / 1000 for turn in mine if turn.report.v2v_ms is not None]
        missed = sum(turn.verdict != "answered" for turn in mine)
        rows.append({"calls": level, "not_answered": missed, "v2v_s": v2v})
    return {"workload": name, "machine": machine(), "levels": rows}


def compare(name: str, options: argparse.Namespace) -> dict[str, object]:
    """Return predicted beside measured."""
    document = json.loads((options.out / f"held-{name}.json").read_text())
    host = host_of(name, options.calibration, options.shapes)
    found = knee(host, options.slo, most=64)
    rows = []
    for row in document["levels"]:
        v2v = row["v2v_s"]
        if not v2v:
            continue
        predicted = host.predict(row["calls"], measured_turns=len(v2v))
        rows.append(
            {
                **row,
                "n": len(v2v),
                "p50_s": float(np.percentile(v2v, 50)),
                "p95_s": float(np.percentile(v2v, 95)),
                "predicted_p50_s": predicted.p50.value,
                "predicted_p95_s": predicted.p95.value,
                "predicted_p95_low_s": predicted.p95.low,
                "predicted_p95_high_s": predicted.p95.high,
            }
        )
    measured = crossing([row["calls"] for row in rows], [row["p95_s"] for row in rows], options.slo.limit_s)
    interval = [found.low, found.high]
    return {
        **document,
        "slo": str(options.slo),
        "predicted_knee": found.calls,
        "predicted_knee_interval": interval,
        "measured_knee": measured,
        "levels": rows,
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["shapes", "hold", "compare"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(WORKLOADS))
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--shapes", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--level-s", type=float, default=16.0)
    parser.add_argument("--levels", type=int, nargs="+", default=[6, 12])
    parser.add_argument("--slo", type=Slo.parse, default=SLO)
    options = parser.parse_args()
    configure(json=False, level="error")
    options.out.mkdir(parents=True, exist_ok=True)
    if options.what == "shapes":
        for name, workload in WORKLOADS.items():
            if workload.like is None:
                document = asyncio.run(shape(name, options.speech)).document()
                (options.out / f"{name}.json").write_text(json.dumps(document, indent=1))
                sys.stderr.write(f"{name}: {len(document['turns'])} turns\n")
        return
    for name in options.names:
        if options.what == "hold":
            document = asyncio.run(measure(name, options))
            (options.out / f"held-{name}.json").write_text(json.dumps(document, indent=1))
            sys.stderr.write(f"{name}: {[len(row['v2v_s']) for row in document['levels']]} turns\n")
            continue
        document = compare(name, options)
        (options.out / f"compared-{name}.json").write_text(json.dumps(document, indent=1))
        for row in document["levels"]:
            inside = row["predicted_p95_low_s"] <= row["p95_s"] <= row["predicted_p95_high_s"]
            sys.stdout.write(
                f"{name:14} {row['calls']:3} calls n={row['n']:3} missed={row['not_answered']} "
                f"P50 {row['p50_s']:.2f} ({row['predicted_p50_s']:.2f}) P95 {row['p95_s']:.2f} "
                f"({row['predicted_p95_s']:.2f} [{row['predicted_p95_low_s']:.2f}-{row['predicted_p95_high_s']:.2f}]) "
                f"{'inside' if inside else 'OUTSIDE'}\n"
            )
        sys.stdout.write(
            f"{name:14} knee at {document['slo']}: predicted {document['predicted_knee']} "
            f"{document['predicted_knee_interval']}, measured {document['measured_knee']}\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
