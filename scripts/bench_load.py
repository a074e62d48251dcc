"""Measure many calls at once: v2v, unanswered turns, frame lateness and what each process costs, a table a level.

Each call speaks a recording of 2–5 s in real time, hears the reply, waits, and speaks again. The
gateway is a process of its own; the callers share one process, whose share of the cores is printed
with the others, because on a small machine it takes from what is measured. Needs a folder of
recordings with a `manifest.jsonl`; nothing else should run on the machine.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path

from speech_clips import SPEECH, clean_utterances, machine, metrics_of

from voicectl.bench.load import LoadShape, TurnOutcome, Utterance, run_calls
from voicectl.bench.load_report import LevelReport, level_lines, report_level
from voicectl.bench.scrape import quantile
from voicectl.bench.usage import Spent, family, machine_busy_s, spent_between
from voicectl.cli.private_gateway import private_gateway
from voicectl.core.config import load_profile
from voicectl.core.log import configure
from voicectl.core.sections.engine import LlmSettings

PROMPT = "You are a helpful phone agent for an online shop. Answer in one short sentence."


def say(text: str) -> None:
    """Tell people how far it is."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def settings_for(num_calls: int, given: list[str]) -> tuple[str, ...]:
    """Return the profile settings of a level; those on the command line win."""
    hot = "hot_sessions" if "hot_sessions" in LlmSettings.model_fields else "max_sessions"
    defaults = [f"llm.system_prompt={PROMPT}", "llm.max_reply_tokens=25", f"server.max_sessions={num_calls}"]
    return (*defaults, *([f"llm.{hot}={num_calls}"] if hot == "max_sessions" else []), *given)


def told(turn: TurnOutcome) -> None:
    """Show one turn."""
    v2v = turn.report.v2v_ms
    value = "-" if v2v is None else f"{v2v:.0f}"
    say(f"  call {turn.call:2} turn {turn.turn} {turn.verdict:10} {value:>6} ms  {turn.report.heard[:60]!r}")


def server_late(url: str) -> dict[str, float | None]:
    """Return what the gateway itself says of its punctuality, milliseconds at P50 and P99."""
    samples = metrics_of(url)
    found: dict[str, float | None] = {}
    for name in ("voicectl_playout_lateness_seconds", "voicectl_event_loop_lag_seconds"):
        for share in (0.5, 0.99):
            value = quantile(samples, name, share)
            found[f"{name.removeprefix('voicectl_').removesuffix('_seconds')} P{share * 100:.0f}"] = (
                None if value is None else value * 1000
            )
    return found


async def measure(options: argparse.Namespace, num_calls: int, utterances: list[Utterance]) -> LevelReport:
    """Hold one level of calls against a fresh gateway, or against the one that was named."""
    if options.server:
        return await measure_at(options.server, options, num_calls, utterances)
    async with private_gateway(options.profile, settings_for(num_calls, options.set)) as gateway:
        return await measure_at(await gateway.url(), options, num_calls, utterances)


async def measure_at(url: str, options: argparse.Namespace, num_calls: int, utterances: list[Utterance]) -> LevelReport:
    """Hold one level of calls with the gateway at `url`."""
    shape = LoadShape(
        num_calls,
        options.turns,
        options.stagger,
        options.pause,
        lead_s=load_profile(options.profile, overrides=options.set).playout.lead_ms / 1000,
        api_key=os.environ.get("VOICECTL_API_KEY"),
    )
    await asyncio.sleep(options.settle)
    before, busy_s, began_at = family(os.getpid()), machine_busy_s(), time.monotonic()
    outcomes = await run_calls(url, shape, utterances, told)
    wall_s = time.monotonic() - began_at
    spent = spent_between(before, family(os.getpid()).values(), wall_s)
    others = (machine_busy_s() - busy_s) / wall_s - sum(one.cores for one in spent)
    mine = [Spent("callers", one.cores, one.rss_bytes) if one.name.startswith("python") else one for one in spent]
    told_late = await asyncio.to_thread(server_late, url)
    processes = [*mine, Spent("everything else", max(0.0, others), 0)]
    return report_level(outcomes, processes, wall_s, options.turns, told_late)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--calls", type=int, nargs="+", default=[4, 8, 16], help="levels of concurrent calls")
    parser.add_argument("--turns", type=int, default=6, help="turns of each call")
    parser.add_argument("--stagger", type=float, default=0.7, help="seconds between the starts of two calls")
    parser.add_argument("--pause", type=float, default=6.0, help="seconds from the end of a reply to the next words")
    parser.add_argument("--settle", type=float, default=2.0, help="seconds between the start of the gateway and calls")
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="profile setting")
    parser.add_argument("--server", help="a running gateway instead of private ones; key in VOICECTL_API_KEY")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    options = parser.parse_args()
    configure(json=False, level="warning")
    utterances = clean_utterances(options.speech)
    say(f"{len(utterances)} clips: {', '.join(utterance.name for utterance in utterances)}")
    sys.stdout.write(f"{machine()}; reply ≤ 25 tokens, pause {options.pause:g} s; set: {options.set}\n")
    documents = []
    for num_calls in options.calls:
        say(f"{num_calls} calls")
        report = asyncio.run(measure(options, num_calls, utterances))
        documents.append(report.document())
        sys.stdout.write("\n" + "\n".join(level_lines(report)) + "\n")
        sys.stdout.flush()
        if options.json:
            options.json.write_text(json.dumps({"machine": machine(), "levels": documents}, indent=1))


if __name__ == "__main__":
    main()
