"""Measure barge-in: from the first voiced sample spoken over the agent to the last audible one received.

Recordings of 2–5 s must stop the agent; words that only say "I am listening" must not. Both are
spoken 0.6–1.4 s into a long reply. Nothing else should run on the machine.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from speech_clips import SPEECH, clean_utterances, machine

from voicectl.bench.barge_in import Interjection, interject
from voicectl.bench.load import Utterance
from voicectl.bench.load_report import quantiles, shown
from voicectl.bench.usage import family, spent_between
from voicectl.cli.private_gateway import private_gateway
from voicectl.core.log import configure
from voicectl.media.audiofile import read_speech

STORY = "Tell me a very long story about the sea, with many details."
SETTINGS = ("llm.system_prompt=You tell long stories. Never stop early.", "llm.max_reply_tokens=150")
BACKCHANNELS = ("Uh-huh.", "Okay.", "Yeah.", "Right.", "I see.", "Mm-hmm.")


def backchannels(speech: Path) -> list[Utterance]:
    """Return small words in the appliance's own voice, and the one recording there is."""
    found = []
    with tempfile.TemporaryDirectory(prefix="voicectl-bench-") as folder:
        for number, words in enumerate(BACKCHANNELS):
            path = Path(folder) / f"{number}.wav"
            command = [sys.executable, "-m", "voicectl", "say", words, "--out", str(path)]
            subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - our own program
            found.append(Utterance.of(words, *read_speech(path)))
    recorded = speech / "clips" / "en_isolated__tflite-micro__yes_1000ms.wav"
    return [*found, *([Utterance.of("Yes. (recorded)", *read_speech(recorded))] if recorded.is_file() else [])]


async def measure(
    options: argparse.Namespace, num_calls: int, utterances: Sequence[Utterance], num_trials: int
) -> tuple[list[Interjection], str]:
    """Spread the trials over some calls at once; return them and what the machine was busy with."""
    wanted = [utterances[number % len(utterances)] for number in range(num_trials)]
    settings = (*SETTINGS, f"server.max_sessions={num_calls}", *options.set)
    async with private_gateway(options.profile, settings) as gateway:
        url = await gateway.url()
        before, began_at = family(os.getpid()), time.monotonic()
        async with asyncio.TaskGroup() as group:
            calls = [
                group.create_task(interject(url, STORY, wanted[number::num_calls], seed=number))
                for number in range(num_calls)
            ]
        spent = spent_between(before, family(os.getpid()).values(), time.monotonic() - began_at)
    used = ", ".join(f"{one.name} {one.cores:.2f}" for one in spent)
    return [trial for call in calls for trial in call.result()], used


def lines(title: str, trials: Sequence[Interjection], used: str) -> list[str]:
    """Return what to print of some trials."""
    outcomes = {name: sum(trial.outcome == name for trial in trials) for name in ("stopped", "went on", "over")}
    silent = quantiles([1000 * trial.silent_s for trial in trials if trial.silent_s is not None])
    last = quantiles([1000 * trial.last_frame_s for trial in trials if trial.last_frame_s is not None])
    paused = quantiles([1000 * trial.pause_s for trial in trials if trial.outcome == "went on"])
    return [
        f"### {title}",
        "",
        "| what | measured |",
        "|---|---|",
        f"| outcome | {outcomes} |",
        f"| onset to last audible sample received | {shown(silent)} |",
        f"| onset to last frame received, audible or not | {shown(last)} |",
        f"| longest pause in replies that went on | {shown(paused)} |",
        f"| cores used | {used} |",
        "",
    ]


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 4], help="levels of concurrent calls")
    parser.add_argument("--trials", type=int, default=40, help="interruptions a level")
    parser.add_argument("--small-words", type=int, default=14, help="small words spoken over the agent a level")
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="profile setting")
    parser.add_argument("--json", type=Path, help="also write all trials here")
    options = parser.parse_args()
    configure(json=False, level="warning")
    utterances, small = clean_utterances(options.speech), backchannels(options.speech)
    sys.stdout.write(f"{machine()}; set: {options.set}\n\n")
    document = {}
    for num_calls in options.calls:
        for title, chosen, count in (
            ("interruptions", utterances, options.trials),
            ("small words", small, options.small_words),
        ):
            if not count:
                continue
            trials, used = asyncio.run(measure(options, num_calls, chosen, count))
            document[f"{num_calls} calls, {title}"] = [asdict(trial) for trial in trials]
            sys.stdout.write("\n".join(lines(f"{num_calls} calls, {title}", trials, used)) + "\n")
            sys.stdout.flush()
            if options.json:
                options.json.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
