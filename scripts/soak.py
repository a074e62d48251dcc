"""Hold hundreds of short sessions and see what stays behind: memory, files, tasks, sequences of the language model.

Most sessions take one turn in writing, every fifth speaks a recording; every seventh leaves in the
middle of a reply. Growth counts from the end of the warm-up.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from speech_clips import SPEECH, clean_utterances, machine, metrics_of

from voicectl.bench.call_record import RATE_HZ
from voicectl.bench.caller import connect
from voicectl.bench.load import Utterance
from voicectl.bench.scrape import total
from voicectl.bench.usage import family, open_files
from voicectl.cli.private_gateway import private_gateway
from voicectl.core.errors import VoicectlError
from voicectl.core.log import configure

SETTLE_S = 5.0
GAUGES = (
    "voicectl_tasks",
    "voicectl_sessions_live",
    "voicectl_llm_sessions",
    "voicectl_llm_hot",
    "voicectl_llm_parked",
)


@dataclass(frozen=True, slots=True)
class Held:
    """What the processes hold, by their names, and what the gateway says of itself."""

    after: int
    rss_bytes: dict[str, int]
    files: dict[str, int]
    gauges: dict[str, float]

    @classmethod
    def now(cls, after: int, url: str) -> "Held":
        """Look at the gateway and all its workers."""
        mine = os.getpid()
        processes = [usage for pid, usage in family(mine).items() if pid != mine]
        samples = metrics_of(url)
        gauges = {sample.name for sample in samples if sample.name.startswith(GAUGES)}
        known = {name: value for name in sorted(gauges) if (value := total(samples, name)) is not None}
        rss_bytes: dict[str, int] = {}
        files: dict[str, int] = {}
        for usage in processes:
            # A worker and its spare count together.
            rss_bytes[usage.name] = rss_bytes.get(usage.name, 0) + usage.rss_bytes
            files[usage.name] = files.get(usage.name, 0) + open_files(usage.pid)
        return cls(after, rss_bytes, files, known)


async def session(url: str, number: int, utterances: Sequence[Utterance]) -> bool:
    """Hold one session; return whether its turn was answered."""
    async with connect(url) as caller:
        if number % 7 == 0:
            await caller.ask("Tell me about your opening hours.")
            await asyncio.sleep(0.5)
            return True
        if number % 5 == 0:
            utterance = utterances[number % len(utterances)]
            return (await caller.speak(utterance.samples, RATE_HZ, answer_timeout_s=20)).answered
        return (await caller.write(f"Question number {number}: is my order ready?", answer_timeout_s=20)).answered


@dataclass(slots=True)
class Tally:
    """What became of the sessions."""

    unanswered: int = 0
    failed: int = 0

    async def hold(self, numbers: Iterator[int], url: str, utterances: Sequence[Utterance]) -> None:
        """Hold one session after the other while there are numbers; others take from the same."""
        for number in numbers:
            try:
                self.unanswered += not await session(url, number, utterances)
            except VoicectlError as error:
                self.failed += 1
                sys.stderr.write(f"session {number}: {error.message}\n")


async def run(options: argparse.Namespace) -> list[Held]:
    """Hold the sessions, a few at once."""
    utterances = clean_utterances(options.speech)
    settings = (f"server.max_sessions={options.calls + 2}", "llm.max_reply_tokens=8", *options.set)
    held: list[Held] = []
    tally, began_at = Tally(), time.monotonic()
    async with private_gateway("cpu", settings) as gateway:
        url = await gateway.url()
        for first in range(0, options.sessions, options.every):
            numbers = iter(range(first, first + options.every))
            async with asyncio.TaskGroup() as group:
                for _ in range(options.calls):
                    group.create_task(tally.hold(numbers, url, utterances))
            await asyncio.sleep(SETTLE_S)
            held.append(await asyncio.to_thread(Held.now, first + options.every, url))
            told = ", ".join(f"{name} {size / 2**20:.1f}" for name, size in held[-1].rss_bytes.items())
            sys.stderr.write(f"{held[-1].after} sessions, {time.monotonic() - began_at:.0f} s: MiB {told}\n")
    sys.stdout.write(f"{options.sessions} sessions: {tally.unanswered} unanswered, {tally.failed} failed\n")
    return held


def lines(held: Sequence[Held], warm_up: int) -> list[str]:
    """Return the table of growth from the end of the warm-up to the end."""
    warm, end = next(one for one in held if one.after >= warm_up), held[-1]
    rows = [f"| what | after {warm.after} | after {end.after} | growth |", "|---|---|---|---|"]
    sizes = [(name, warm.rss_bytes.get(name, 0), size) for name, size in end.rss_bytes.items()]
    sizes.append(("all", sum(warm.rss_bytes.values()), sum(end.rss_bytes.values())))
    for name, before, after in sizes:
        growth = f"{100 * (after / before - 1):+.2f} %" if before else "new"
        rows.append(f"| memory, {name} | {before / 2**20:.1f} MiB | {after / 2**20:.1f} MiB | {growth} |")
    counts = [(f"open files, {name}", warm.files.get(name, 0), count) for name, count in end.files.items()]
    counts += [(name, warm.gauges.get(name, 0), value) for name, value in end.gauges.items()]
    rows += [f"| {name} | {before:g} | {after:g} | {after - before:+g} |" for name, before, after in counts]
    return rows


def main() -> None:
    """Parse, hold, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=SPEECH)
    parser.add_argument("--sessions", type=int, default=500)
    parser.add_argument("--calls", type=int, default=4, help="sessions at once")
    parser.add_argument("--warm-up", type=int, default=100, help="sessions before growth counts")
    parser.add_argument("--every", type=int, default=50, help="sessions between two looks")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="profile setting")
    parser.add_argument("--json", type=Path, help="also write all looks here")
    options = parser.parse_args()
    configure(json=False, level="warning")
    held = asyncio.run(run(options))
    sys.stdout.write(f"{machine()}\n\n" + "\n".join(lines(held, options.warm_up)) + "\n")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in held], indent=1))


if __name__ == "__main__":
    main()
